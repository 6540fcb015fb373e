"""What all tasks have in common: what is tried again, and under which key a result is kept."""

from collections.abc import Callable
from typing import Any, TypeVar

from prefect import Task, task
from prefect.context import TaskRunContext
from prefect.tasks import exponential_backoff

from tasks.errors import TransientError
from tasks.process.runner import StepKilled
from tasks.service.results import ObjectResults, cache_key
from tasks.service.run import JobRun

RETRIES = 4
BACKOFF_SECONDS = 3.0
R = TypeVar("R")


def worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    """Only what may go better the next time; an input error never does."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, (TransientError, StepKilled))


def step_task(step: str, digest: Callable[..., str]) -> Callable[[Callable[..., R]], Task[..., R]]:
    """Makes a step's function a Prefect task whose finished result is found again by any later run of the same job.

    Args:
        step: its name, in the Prefect UI too.
        digest: from the function's arguments to what identifies its output.
    """

    def key(_context: TaskRunContext, arguments: dict[str, Any]) -> str:
        run = arguments["run"]
        assert isinstance(run, JobRun)
        return cache_key(run.owner_id, step, digest(**arguments))

    def decorate(function: Callable[..., R]) -> Task[..., R]:
        decorated: Any = task(
            name=step,
            task_run_name=step,
            cache_key_fn=key,
            persist_result=True,
            result_storage=ObjectResults(),
            result_serializer="json",
            retries=RETRIES,
            retry_delay_seconds=exponential_backoff(backoff_factor=BACKOFF_SECONDS),
            retry_jitter_factor=0.5,
            retry_condition_fn=worth_retrying,
        )
        return decorated(function)

    return decorate
