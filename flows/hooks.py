"""What the end of a run leaves in our database when the run itself could not say it.

A run that finishes says so itself, in one transaction. These hooks are for the other ends. They run in the process of the
flow, or, when that was killed, in the worker's, which knows nothing of the attempt: then the dispatcher decides.
"""

import logging
from typing import Any
from uuid import UUID

from flows.server import exit_soon
from storage.attempts import Attempt, record_end
from storage.database import database
from storage.jobs import CANCELLED, CANCELLED_MESSAGE
from tasks.service.failures import told
from tasks.service.patience import patiently

log = logging.getLogger("splatflow.hooks")

at_work: Attempt | None = None  # of this process; None in a worker


def on_completion(flow: Any, flow_run: Any, state: Any) -> None:
    """The run is over, and Prefect knows."""
    exit_soon(flow_run.id)


def on_failure(flow: Any, flow_run: Any, state: Any) -> None:
    """A step raised: the job is Failed with the error's code and sentence."""
    error = state.result(raise_on_failure=False)
    code, message = told(error if isinstance(error, BaseException) else None)
    _record(flow_run, code, message)
    exit_soon(flow_run.id)


def on_cancellation(flow: Any, flow_run: Any, state: Any) -> None:
    """Somebody cancelled the run in Prefect; where it was done through the API the row says so already."""
    _record(flow_run, CANCELLED, CANCELLED_MESSAGE)
    exit_soon(flow_run.id)


def on_crashed(flow: Any, flow_run: Any, state: Any) -> None:
    """The process was asked to end (the group goes down): the job waits for another attempt, and no crash is counted."""
    if at_work is not None:
        at_work.give_back()


def _record(flow_run: Any, code: str, message: str) -> None:
    """Waits for a database that is away; when it stays away, the silence of the attempt tells that it has ended."""
    job, run = _job_of(flow_run), flow_run.id
    patiently(lambda: record_end(database(), job, run, error_code=code, error_message=message), log)


def _job_of(flow_run: Any) -> UUID:
    return UUID(str(flow_run.parameters["job_id"]))
