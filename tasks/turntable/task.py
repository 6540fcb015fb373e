"""Turntable as a task: a trained scene and its cameras in, a video out."""

from typing import Any

from tasks.process import digest
from tasks.service.policy import step_task
from tasks.service.reference import StepReference
from tasks.service.run import JobRun
from tasks.service.slots import gpu_slot
from tasks.turntable.options import TurntableOptions

STEP = "turntable"


def require(run: JobRun) -> None:
    """Looks for what the step will need, before any other work is done.

    Raises:
        VideoEncoderMissing
        BadOption
    """
    if run.job.turntable:
        from tasks.turntable.encode import choose_encoder

        options_of(run)
        choose_encoder()


def options_of(run: JobRun) -> TurntableOptions:
    """As the job asks, on the run's device."""
    device: Any = run.device
    return TurntableOptions(device=device, threads=run.threads, **(run.job.turntable or {}))


def identity(run: JobRun, trained: StepReference, posed: StepReference) -> str:
    """By the scene and the options."""
    return digest.of_step(STEP, digest.of_json([trained.digest, posed.digest]), options_of(run))


@step_task(STEP, identity)
def turntable(run: JobRun, trained: StepReference, posed: StepReference) -> StepReference:
    """A video, see `tasks.turntable.step.turntable`."""
    scene, views, options = run.folder_of(trained), run.folder_of(posed), options_of(run)
    return run.make(
        STEP,
        identity(run, trained, posed),
        "tasks.turntable.step:turntable",
        lambda out: {"trained": scene, "posed": views, "out": out, "options": options},
        slot=gpu_slot(run),
    )
