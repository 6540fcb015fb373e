"""Scale as a task. AprilTags are not read yet: the model passes as it is, and the job that asked for them says so."""

from prefect import task

from tasks.service.reference import StepReference
from tasks.service.run import JobRun


@task(name="scale", task_run_name="scale", persist_result=False)
def scale(run: JobRun, posed: StepReference) -> StepReference:
    """The posed views, unchanged."""
    if run.job.apriltag_size_mm is not None:
        run.log.warning("scale: AprilTags are not read by this build; the scene keeps its own unit.")
    return posed
