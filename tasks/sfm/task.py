"""Structure from motion as a task: frames in, posed and undistorted views out."""

from typing import Any

from tasks.process import digest
from tasks.service.policy import step_task
from tasks.service.reference import StepReference
from tasks.service.run import JobRun
from tasks.sfm.options import SfmOptions

STEP = "sfm"


def options_of(run: JobRun) -> SfmOptions:
    """As the client asked."""
    method: Any = run.job.reconstruction_method
    return SfmOptions(method=method, num_threads=run.threads)


def identity(run: JobRun, extracted: StepReference) -> str:
    """By the frames and the options."""
    return digest.of_step(STEP, extracted.digest, options_of(run))


@step_task(STEP, identity)
def sfm(run: JobRun, extracted: StepReference) -> StepReference:
    """Poses and undistorted views, see `tasks.sfm.step.reconstruct`."""
    frames, options = run.folder_of(extracted), options_of(run)
    return run.make(
        STEP,
        identity(run, extracted),
        "tasks.sfm.step:reconstruct",
        lambda out: {"extracted": frames, "out": out, "options": options},
    )
