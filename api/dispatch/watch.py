"""Looks after the jobs that wait or are at work: their places in the queue, and attempts that died."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from api.dispatch.line import places
from api.dispatch.runs import Runs, RunState
from storage import dispatching, waiting
from storage.admission import USUAL, Rules, order
from storage.database import Database
from storage.dispatching import OpenJob

UNCLAIMED_SECONDS = 75.0  # from a worker's grip on a run to the run's claim of its job; imports take 5 to 20 s
MISSED_BEATS = 4.0
NEAR, FEW = 100, 200  # places that are told at once; changes at a time that are no burden
FAR_SECONDS = 10.0  # between two tellings of all others
LONGEST_GAP_SECONDS = 5.0  # counted between two looks: less than what is taken for a death
log = logging.getLogger("splatflow.dispatcher")


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long silence is taken for life.

    Attributes:
        beat_seconds: between two beats of an attempt.
        dead_after_seconds: without a beat, whatever Prefect says: the host is gone.
        max_attempts: deaths in a row after which a job is given up.
    """

    beat_seconds: float
    dead_after_seconds: float
    max_attempts: int


class Watch:
    """Remembers for how long each attempt's beat has stood still, by this process's own clock: no other machine's is trusted.

    Args:
        clock: seconds of a clock that never goes back.
        rules: how jobs take turns.
    """

    def __init__(
        self,
        database: Database,
        patience: Patience,
        clock: Callable[[], float] = time.monotonic,
        *,
        rules: Rules = USUAL,
    ) -> None:
        self._database, self._patience, self._clock, self._rules = database, patience, clock, rules
        self._told_all_at = float("-inf")
        self._looked_at = clock()
        self._beats: dict[UUID, tuple[UUID | None, int, float]] = {}
        self._missing: dict[UUID, UUID] = {}

    def silent_hosts(self) -> None:
        """Gives the jobs of hosts that are gone another attempt. Asks only our database."""
        for job, silence in self._look():
            if job.lease_token is not None and silence > self._patience.dead_after_seconds:
                self._died(job, "its host is gone", silence)

    def ended_runs(self, runs: Runs) -> None:
        """Settles jobs whose run ended, was cancelled or was deleted at Prefect without a word in our row."""
        dispatching.ensure_started(self._database)
        seen = self._look()
        states = runs.states([job.run_id for job, _ in seen if job.run_id is not None])
        missing: dict[UUID, UUID] = {}
        for job, silence in seen:
            if job.run_id is None:
                continue
            state = states.get(job.run_id)
            if state is None:
                # Twice in a row, so that a run made at this moment isn't taken for lost.
                if self._missing.get(job.id) == job.run_id and (job.lease_token is None or self._is_long(silence)):
                    log.warning("job %s: Prefect does not know its run %s any more", job.id, job.run_id)
                    dispatching.run_lost(self._database, job)
                missing[job.id] = job.run_id
            elif job.lease_token is None:
                self._settle_unclaimed(job, state, silence)
            else:
                self._settle_at_work(job, state, silence)
        self._missing = missing

    def places(self, runs: Runs) -> None:
        """Writes the places of waiting jobs that have changed; of many that change at once, those far behind less often."""
        queue = waiting.read(self._database)
        if not queue.waiting:
            return
        ordered = order(queue.waiting, queue.served, self._rules)
        known, new = queue.places, places(ordered, runs.waiting())
        changed = {job_id: place for job_id, place in new.items() if place != known[job_id]}
        if len(changed) > FEW and self._clock() < self._told_all_at + FAR_SECONDS:
            changed = {job: place for job, place in changed.items() if known[job] is None or (place or 0) <= NEAR}
        elif len(changed) > FEW:
            self._told_all_at = self._clock()
        dispatching.set_positions(self._database, changed)

    def _settle_unclaimed(self, job: OpenJob, state: RunState, silence: float) -> None:
        if state.state in ("CANCELLED", "CANCELLING"):
            dispatching.run_cancelled(self._database, job)
        elif state.ended:
            self._died(job, f"the run ended as {state.state.lower()} before it began", silence)
        elif state.state != "SCHEDULED" and state.age_seconds > UNCLAIMED_SECONDS:
            self._died(job, "the run did not begin", silence)

    def _settle_at_work(self, job: OpenJob, state: RunState, silence: float) -> None:
        if state.state in ("CANCELLED", "CANCELLING"):
            dispatching.run_cancelled(self._database, job)
        elif state.ended and self._is_long(silence):
            self._died(job, f"the run ended as {state.state.lower()}", silence)

    def _is_long(self, silence: float) -> bool:
        return silence > MISSED_BEATS * self._patience.beat_seconds

    def _died(self, job: OpenJob, reason: str, silence: float) -> None:
        most = self._patience.max_attempts
        state = dispatching.attempt_died(
            self._database, job, max_attempts=most, reason=reason, silent_seconds=round(silence, 1)
        )
        if state is not None:
            log.warning("job %s: attempt %d died (%s); the job is %s", job.id, job.attempt, reason, state)

    def _look(self) -> list[tuple[OpenJob, float]]:
        """The open jobs that have a run, and for how many seconds the beat of each has stood still."""
        found = []
        beats: dict[UUID, tuple[UUID | None, int, float]] = {}
        open_jobs = dispatching.open_jobs(self._database, with_runs=True)
        now = self._clock()
        # While the database was away, or this process stood still, attempts could not be seen to beat.
        unseen = max(0.0, now - self._looked_at - LONGEST_GAP_SECONDS)
        self._looked_at = now
        for job in open_jobs:
            known = self._beats.get(job.id)
            same = known is not None and known[:2] == (job.lease_token, job.lease_beat)
            since = known[2] + unseen if known is not None and same else now
            beats[job.id] = (job.lease_token, job.lease_beat, since)
            found.append((job, now - since))
        self._beats = beats
        return found
