"""Scale as a task: posed views in, the size of their unit out; a job that names no tag passes."""

from tasks.process import digest
from tasks.scale.options import ScaleOptions
from tasks.service.policy import step_task
from tasks.service.reference import StepReference
from tasks.service.run import JobRun

STEP = "scale"


def options_of(run: JobRun) -> ScaleOptions:
    """As the client asked; the tags' family is the deployment's."""
    assert run.job.apriltag_size_mm is not None
    return ScaleOptions(tag_size_mm=run.job.apriltag_size_mm, family=run.settings.apriltag_family)


def require(run: JobRun) -> None:
    """Looks at what was asked for, before any other work is done.

    Raises:
        BadOption: the deployment names a family of tags that there isn't.
    """
    if run.job.apriltag_size_mm is not None:
        options_of(run)


def identity(run: JobRun, posed: StepReference) -> str:
    """By the posed views and the tags."""
    if run.job.apriltag_size_mm is None:
        return "none"
    return digest.of_step(STEP, posed.digest, options_of(run))


@step_task(STEP, identity)
def scale(run: JobRun, posed: StepReference) -> StepReference | None:
    """What a unit is in metres, see `tasks.scale.step.scale`; None where no tag is looked for."""
    if run.job.apriltag_size_mm is None:
        return None
    views, options = run.folder_of(posed), options_of(run)
    return run.make(
        STEP,
        identity(run, posed),
        "tasks.scale.step:scale",
        lambda out: {"posed": views, "out": out, "options": options},
    )
