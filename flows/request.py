"""What a run is asked for with, known to both sides: the dispatcher that makes runs and the flow that is run.

A flow run's parameters hold the job's id and nothing else, since everybody who reaches the Prefect UI sees them. The
attempt's number travels as a tag.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

FLOW = "reconstruct"
DEPLOYMENT = "reconstruct/reconstruct"
POOL = "gpu"
HOUSEKEEPING_POOL = "housekeeping"
QUEUES = {"high": 1, "default": 2, "low": 3}  # work queue -> priority, 1 first
DEFAULT_QUEUE, FIRST_QUEUE, LAST_QUEUE = "default", "high", "low"
JOB_TAG, ATTEMPT_TAG = "job:", "attempt:"
BATCH_FLOW = "reprocess"
BATCH_DEPLOYMENT = "reprocess/reprocess"
BATCH_TAG = "batch:"


def parameters(job_id: UUID) -> dict[str, Any]:
    """Of a flow run."""
    return {"job_id": str(job_id)}


def tags(job_id: UUID, attempt: int, method: str) -> list[str]:
    """Of a flow run: what the UI can be searched for, and what the flow reads its attempt from."""
    return [f"{JOB_TAG}{job_id}", f"{ATTEMPT_TAG}{attempt}", method]


def job_tag(job_id: UUID) -> str:
    """The tag that all runs of a job have."""
    return f"{JOB_TAG}{job_id}"


def attempt_of(tags: Iterable[str]) -> int | None:
    """The attempt that a run with these tags is to make; None for a run that the dispatcher did not make."""
    for tag in tags:
        if tag.startswith(ATTEMPT_TAG) and tag.removeprefix(ATTEMPT_TAG).isdigit():
            return int(tag.removeprefix(ATTEMPT_TAG))
    return None


def job_of(tags: Iterable[str]) -> UUID | None:
    """The job of a run with these tags; None for a run that the dispatcher did not make."""
    for tag in tags:
        if tag.startswith(JOB_TAG):
            try:
                return UUID(tag.removeprefix(JOB_TAG))
            except ValueError:
                return None
    return None


def run_name(title: str, attempt: int) -> str:
    """What a person sees in the Prefect UI."""
    return title if attempt == 1 else f"{title} (attempt {attempt})"


def idempotency_key(job_id: UUID, attempt: int) -> str:
    """Makes a second request for the same attempt return the first one's run."""
    return f"{job_id}:{attempt}"


def batch_parameters(batch_id: UUID) -> dict[str, Any]:
    """Of a flow run that the dispatcher makes for a batch: what the batch is for is in our database."""
    return {"batch_id": str(batch_id)}


def batch_tag(batch_id: UUID) -> str:
    """The tag that the runs have that were made for a batch."""
    return f"{BATCH_TAG}{batch_id}"


def batch_idempotency_key(batch_id: UUID, number: int) -> str:
    """Makes a second request for the same run return the first one's."""
    return f"{BATCH_TAG}{batch_id}:{number}"
