"""Extract as a task: the client's upload in, its frames out."""

from tasks.extract.options import ExtractOptions
from tasks.presets import DEFAULT_OF_DEVICE, PRESETS
from tasks.process import digest
from tasks.service.policy import step_task
from tasks.service.reference import StepReference
from tasks.service.run import JobRun

STEP = "extract"


def options_of(run: JobRun) -> ExtractOptions:
    """As the client asked; what was left open is by device."""
    default = PRESETS[DEFAULT_OF_DEVICE[run.device]]["max_frames"]
    return ExtractOptions(max_frames=run.job.max_frames or default)


def identity(run: JobRun) -> str:
    """The source object is the job's own and never changes, so its name stands for its content."""
    return digest.of_step(STEP, run.job.source_key, options_of(run))


@step_task(STEP, identity)
def extract(run: JobRun) -> StepReference:
    """Frames of the upload, see `tasks.extract.step.extract`."""
    source, options = run.source(), options_of(run)
    return run.make(
        STEP,
        identity(run),
        "tasks.extract.step:extract",
        lambda out: {"source": source, "out": out, "options": options},
    )
