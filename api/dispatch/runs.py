"""The runs at Prefect, as the dispatcher needs them: made, read in batches, stopped, removed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_REQUEST_TIMEOUT, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled, Cancelling, Scheduled

from flows import request
from tasks.errors import TransientError

PAGE = 200
TIMEOUT_SECONDS = 15.0
WAITING = [StateType.SCHEDULED, StateType.PENDING]
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
T = TypeVar("T")


class PrefectUnavailable(TransientError):
    """Prefect's server does not answer, or has no deployment of ours yet."""

    slug = "prefect_unavailable"


@dataclass(frozen=True, kw_only=True)
class RunState:
    """A run as Prefect has it: the type of its state, its message, and for how many seconds it has been so."""

    state: str
    message: str
    age_seconds: float

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.state in ENDED


@dataclass(frozen=True, kw_only=True)
class WaitingRun:
    """A run that waits for a worker, or to begin.

    Attributes:
        queue: its work queue.
        since: when it was to start.
        taken: a worker has it already.
    """

    id: UUID
    queue: str
    since: datetime
    taken: bool


class Runs:
    """Our runs at one Prefect server. Every call fails with PrefectUnavailable when the server does not answer.

    Args:
        deployment: "flow/deployment" of the reconstruction.
        pool: the work pool whose queue is looked at.
    """

    def __init__(self, client: SyncPrefectClient, *, deployment: str, pool: str) -> None:
        self._client, self._deployment, self._pool = client, deployment, pool
        self._deployment_id: UUID | None = None
        self._priorities: dict[str, int] = {}

    def start(
        self, job_id: UUID, attempt: int, *, title: str, method: str, queue: str, waiting_since: datetime
    ) -> UUID:
        """The run of an attempt: made now, or by an earlier call that nobody heard of.

        Args:
            queue: one of `flows.request.QUEUES`.
            waiting_since: its place among those that wait in the queue.
        """

        def make() -> UUID:
            if self._deployment_id is None:
                self._deployment_id = self._client.read_deployment_by_name(self._deployment).id
            run = self._client.create_flow_run_from_deployment(
                self._deployment_id,
                parameters=request.parameters(job_id),
                name=request.run_name(title, attempt),
                tags=request.tags(job_id, attempt, method),
                idempotency_key=request.idempotency_key(job_id, attempt),
                work_queue_name=queue,
                state=Scheduled(scheduled_time=waiting_since),
            )
            return run.id

        try:
            return self._asked(make)
        except ObjectNotFound:
            self._deployment_id = None
            raise PrefectUnavailable(f"Prefect has no deployment {self._deployment}; deploy prefect.yaml.") from None

    def states(self, run_ids: Sequence[UUID]) -> dict[UUID, RunState]:
        """States of those runs that exist."""
        found: dict[UUID, RunState] = {}
        for first in range(0, len(run_ids), PAGE):
            wanted = FlowRunFilter(id=FlowRunFilterId(any_=list(run_ids[first : first + PAGE])))
            for run in self._asked(lambda wanted=wanted: self._client.read_flow_runs(flow_run_filter=wanted)):
                found[run.id] = _state_of(run)
        return found

    def start_batch(self, batch_id: UUID, number: int) -> UUID:
        """The `number`-th run that advances a batch: made now, or by an earlier call that nobody heard of."""

        def make() -> UUID:
            deployment = self._client.read_deployment_by_name(request.BATCH_DEPLOYMENT)
            run = self._client.create_flow_run_from_deployment(
                deployment.id,
                parameters=request.batch_parameters(batch_id),
                name=f"batch {batch_id}",
                tags=[request.batch_tag(batch_id)],
                idempotency_key=request.batch_idempotency_key(batch_id, number),
            )
            return run.id

        try:
            return self._asked(make)
        except ObjectNotFound:
            raise PrefectUnavailable(
                f"Prefect has no deployment {request.BATCH_DEPLOYMENT}; deploy prefect.yaml."
            ) from None

    def of_job(self, job_id: UUID) -> dict[UUID, RunState]:
        """All runs that were ever made for a job."""
        return self.tagged(request.job_tag(job_id))

    def tagged(self, tag: str) -> dict[UUID, RunState]:
        """All runs with this tag."""
        wanted = FlowRunFilter(tags=FlowRunFilterTags(all_=[tag]))
        return {run.id: _state_of(run) for run in self._pages(flow_run_filter=wanted)}

    def waiting(self) -> list[WaitingRun]:
        """The runs that wait on our pool, in the order in which they will start."""
        now: Any = datetime.now(UTC)
        runs = list(
            self._pages(
                flow_run_filter=FlowRunFilter(
                    state=FlowRunFilterState(type=FlowRunFilterStateType(any_=WAITING)),
                    expected_start_time=FlowRunFilterExpectedStartTime(before_=now),
                ),
                work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[self._pool])),
                sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            )
        )
        if runs:
            queues = self._asked(lambda: self._client.read_work_queues(work_pool_name=self._pool))
            self._priorities = {queue.name: queue.priority or 0 for queue in queues}

        def order(run: WaitingRun) -> tuple[bool, int, datetime]:
            return not run.taken, self._priorities.get(run.queue, 0), run.since

        found = [
            WaitingRun(
                id=run.id,
                queue=run.work_queue_name or request.DEFAULT_QUEUE,
                since=run.expected_start_time or now,
                taken=run.state is not None and run.state.type == StateType.PENDING,
            )
            for run in runs
        ]
        return sorted(found, key=order)

    def stop(self, run_id: UUID, state: RunState, *, force: bool) -> None:
        """Asks a run to end; one that only waits has ended at once.

        Args:
            state: as it was read.
            force: nobody is left to carry the wish out: it has ended.
        """
        at_once = force or state.state in ("SCHEDULED", "PAUSED")
        wish: Any = Cancelled(message="The job no longer wants this run.") if at_once else Cancelling()
        try:
            self._asked(lambda: self._client.set_flow_run_state(run_id, wish, force=at_once))
        except ObjectNotFound:
            return

    def remove(self, run_id: UUID) -> None:
        """Removes a run with its logs, task runs and artifacts."""
        of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        for artifact in self._asked(lambda: self._client.read_artifacts(artifact_filter=of_run)):
            self._removed(lambda artifact=artifact: self._client.delete_artifact(artifact.id))
        self._removed(lambda: self._client.delete_flow_run(run_id))

    def _removed(self, remove: Callable[[], object]) -> None:
        try:
            self._asked(remove)
        except ObjectNotFound:
            return

    def _pages(self, **filters: Any) -> Iterator[FlowRun]:
        offset = 0
        while True:
            page = self._asked(lambda: self._client.read_flow_runs(limit=PAGE, offset=offset, **filters))  # noqa: B023
            yield from page
            if len(page) < PAGE:
                return
            offset += PAGE

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except (httpx.TransportError, httpx.HTTPStatusError) as error:
            raise PrefectUnavailable(f"Prefect does not answer ({type(error).__name__}).") from error


@contextmanager
def connected(*, deployment: str, pool: str) -> Iterator[Runs]:
    """Runs at the server that PREFECT_API_URL names. Calls are not repeated here: the dispatcher's next round does that."""
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_REQUEST_TIMEOUT: TIMEOUT_SECONDS}),
        get_client(sync_client=True) as client,
    ):
        yield Runs(client, deployment=deployment, pool=pool)


def _state_of(run: FlowRun) -> RunState:
    if run.state is None:
        return RunState(state="SCHEDULED", message="", age_seconds=0.0)
    since = run.state.timestamp or datetime.now(UTC)
    return RunState(
        state=run.state.type.value,
        message=run.state.message or "",
        age_seconds=(datetime.now(UTC) - since).total_seconds(),
    )
