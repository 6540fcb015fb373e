"""Prefect in memory, as `api.dispatch.runs.Runs` shows it; and time that passes for entries of the outbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import select

from api.dispatch.runs import PrefectUnavailable, Runs, RunState, WaitingRun
from flows import request
from storage.database import Database
from storage.tables import Outbox

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class FakeRun:
    job_id: UUID | None
    attempt: int
    title: str = ""
    state: str = "SCHEDULED"
    age_seconds: float = 0.0
    since: datetime = LONG_AGO


class FakeRuns(Runs):
    """Keeps what the real one promises.

    Attributes:
        away: nothing answers.
        deaf: runs are made, but the answer to `start` is lost.
        broken: runs whose every change fails.
    """

    def __init__(self) -> None:
        self.runs: dict[UUID, FakeRun] = {}
        self.away = self.deaf = False
        self.broken: set[UUID] = set()
        self.queues: dict[UUID, str] = {}
        self.stops: list[tuple[UUID, bool]] = []

    def start(
        self, job_id: UUID, attempt: int, *, title: str, method: str, queue: str, waiting_since: datetime
    ) -> UUID:
        self._ask()
        run_id = next((r for r, run in self.runs.items() if (run.job_id, run.attempt) == (job_id, attempt)), None)
        if run_id is None:
            run_id = uuid4()
            self.runs[run_id] = FakeRun(job_id, attempt, title, since=waiting_since)
            self.queues[run_id] = queue
        if self.deaf:
            raise PrefectUnavailable("The answer was lost.")
        return run_id

    def states(self, run_ids: Sequence[UUID]) -> dict[UUID, RunState]:
        self._ask()
        return {run_id: self._state(run_id) for run_id in run_ids if run_id in self.runs}

    def of_job(self, job_id: UUID) -> dict[UUID, RunState]:
        self._ask()
        return {run_id: self._state(run_id) for run_id, run in self.runs.items() if run.job_id == job_id}

    def waiting(self) -> list[WaitingRun]:
        self._ask()
        found = [
            WaitingRun(
                id=run_id, queue=self.queues.get(run_id, "default"), since=run.since, taken=run.state == "PENDING"
            )
            for run_id, run in self.runs.items()
            if run.state in ("SCHEDULED", "PENDING")
        ]
        return sorted(found, key=lambda run: (not run.taken, request.QUEUES[run.queue], run.since))

    def stop(self, run_id: UUID, state: RunState, *, force: bool) -> None:
        self._ask()
        if run_id in self.broken:
            raise PrefectUnavailable("This one fails.")
        self.stops.append((run_id, force))
        at_once = force or state.state in ("SCHEDULED", "PAUSED")
        self.runs[run_id].state = "CANCELLED" if at_once else "CANCELLING"

    def remove(self, run_id: UUID) -> None:
        self._ask()
        self.runs.pop(run_id, None)

    def only(self) -> UUID:
        """The one run that there is."""
        (run_id,) = self.runs
        return run_id

    def _state(self, run_id: UUID) -> RunState:
        run = self.runs[run_id]
        return RunState(state=run.state, message="", age_seconds=run.age_seconds)

    def _ask(self) -> None:
        if self.away:
            raise PrefectUnavailable("Prefect is away.")


def pass_seconds(database: Database, seconds: float) -> None:
    """Makes all entries older by so much."""
    earlier = timedelta(seconds=seconds)
    with database.write() as session:
        for entry in session.scalars(select(Outbox)).all():
            entry.created_at, entry.due_at = entry.created_at - earlier, entry.due_at - earlier
            session.add(entry)
