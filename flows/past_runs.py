"""Removes runs at Prefect that nobody looks for any more: of jobs that are gone, and of housekeeping long ago.

The dispatcher removes a deleted job's runs with it. What is found here was left by a Prefect that was away or restored from a back-up.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from flows import request
from storage import housekeeping
from storage.database import Database
from storage.removed import Removed
from tasks.errors import TransientError

PAGE = 200
MOST = 2_000  # removals of a round
TIMEOUT_SECONDS = 15.0
SETTLED = timedelta(hours=1)  # the dispatcher is still at it before
KEEP_ROUNDS = timedelta(days=30)
ENDED = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED]
HOUSEKEEPING_FLOW = "maintain"
T = TypeVar("T")


class PrefectAway(TransientError):
    """Prefect's server does not answer."""

    slug = "prefect_unavailable"


def clear(database: Database, *, dry_run: bool) -> list[Removed]:
    """Removes such runs with their logs and artifacts at the server that PREFECT_API_URL names.

    A job whose row is gone never comes back, so a run that has ended and whose job has no row is nobody's.

    Raises:
        DatabaseUnavailable, PrefectAway
    """
    if not PREFECT_API_URL.value():
        raise PrefectAway("No Prefect server is named; set PREFECT_API_URL, or start the service.")
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_REQUEST_TIMEOUT: TIMEOUT_SECONDS}),
        get_client(sync_client=True) as client,
    ):
        of_jobs: list[UUID] = []
        for page in _pages(client, request.FLOW, before=datetime.now(UTC) - SETTLED):
            jobs = {run.id: job for run in page if (job := request.job_of(run.tags)) is not None}
            known = housekeeping.existing_jobs(database, set(jobs.values()))
            of_jobs += [run_id for run_id, job in jobs.items() if job not in known]
            if len(of_jobs) >= MOST:
                break
        rounds = [
            run.id for page in _pages(client, HOUSEKEEPING_FLOW, before=datetime.now(UTC) - KEEP_ROUNDS) for run in page
        ]
        found = {"runs of jobs": of_jobs[:MOST], "runs of housekeeping": rounds[:MOST]}
        if not dry_run:
            for run_id in (run_id for ids in found.values() for run_id in ids):
                _remove(client, run_id)
    return [Removed(kind=kind, objects=len(ids), bytes=0) for kind, ids in found.items() if ids]


def _pages(client: SyncPrefectClient, flow: str, *, before: datetime) -> Iterator[list[FlowRun]]:
    """The runs of a flow that had ended by then."""
    filters: dict[str, Any] = {
        "flow_filter": FlowFilter(name=FlowFilterName(any_=[flow])),
        "flow_run_filter": FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=ENDED)),
            end_time=FlowRunFilterEndTime(before_=before),  # pyright: ignore[reportArgumentType]
        ),
        "sort": FlowRunSort.ID_DESC,
    }
    offset = 0
    while page := _asked(lambda: client.read_flow_runs(limit=PAGE, offset=offset, **filters)):  # noqa: B023
        yield page
        offset += PAGE


def _remove(client: SyncPrefectClient, run_id: UUID) -> None:
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    for artifact in _asked(lambda: client.read_artifacts(artifact_filter=of_run)):
        _gone(lambda artifact=artifact: client.delete_artifact(artifact.id))
    _gone(lambda: client.delete_flow_run(run_id))


def _gone(remove: Callable[[], object]) -> None:
    try:
        _asked(remove)
    except ObjectNotFound:
        return


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except (httpx.TransportError, httpx.HTTPStatusError) as error:
        raise PrefectAway(f"Prefect does not answer ({type(error).__name__}).") from error
