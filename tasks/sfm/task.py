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


def identity(run: JobRun, extracted: StepReference, masked: StepReference | None) -> str:
    """By the frames, their masks and the options."""
    inputs = extracted.digest if masked is None else digest.of_json([extracted.digest, masked.digest])
    return digest.of_step(STEP, inputs, options_of(run))


@step_task(STEP, identity)
def sfm(run: JobRun, extracted: StepReference, masked: StepReference | None) -> StepReference:
    """Poses and undistorted views, see `tasks.sfm.step.reconstruct`; with masks, theirs too."""
    frames, options = run.folder_of(extracted), options_of(run)
    masks = None if masked is None else run.folder_of(masked)
    return run.make(
        STEP,
        identity(run, extracted, masked),
        "tasks.sfm.step:reconstruct",
        lambda out: {"extracted": frames, "out": out, "options": options, "masks": masks},
    )
