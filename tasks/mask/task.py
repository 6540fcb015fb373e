"""Mask as a task. Foreground masks are not built yet: frames pass as they are, and the job that asked for them says so."""

from prefect import task

from tasks.service.reference import StepReference
from tasks.service.run import JobRun


@task(name="mask", task_run_name="mask", persist_result=False)
def mask(run: JobRun, extracted: StepReference) -> StepReference:
    """The extracted frames, unchanged."""
    if run.job.remove_background:
        run.log.warning("mask: backgrounds are not removed by this build; the frames pass as they are.")
    return extracted
