"""What the end of a run leaves in our database when the run itself could not say it.

A run that finishes says so itself, in one transaction. These hooks are for the other ends. They run in the process of the
flow, or, when that was killed, in the worker's, which knows nothing of the attempt: then the dispatcher decides.
"""

from typing import Any
from uuid import UUID

from storage.attempts import Attempt, record_end
from storage.database import database
from storage.jobs import CANCELLED, CANCELLED_MESSAGE
from tasks.service.failures import told

at_work: Attempt | None = None  # of this process; None in a worker


def on_failure(flow: Any, flow_run: Any, state: Any) -> None:
    """A step raised: the job is Failed with the error's code and sentence."""
    error = state.result(raise_on_failure=False)
    code, message = told(error if isinstance(error, BaseException) else None)
    record_end(database(), _job_of(flow_run), flow_run.id, error_code=code, error_message=message)


def on_cancellation(flow: Any, flow_run: Any, state: Any) -> None:
    """Somebody cancelled the run in Prefect; where it was done through the API the row says so already."""
    record_end(database(), _job_of(flow_run), flow_run.id, error_code=CANCELLED, error_message=CANCELLED_MESSAGE)


def on_crashed(flow: Any, flow_run: Any, state: Any) -> None:
    """The process was asked to end (the group goes down): the job waits for another attempt, and no crash is counted."""
    if at_work is not None:
        at_work.give_back()


def _job_of(flow_run: Any) -> UUID:
    return UUID(str(flow_run.parameters["job_id"]))
