"""What rows tell at this moment: jobs, the outbox, leases and slots, and whether a dispatcher lives."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from uuid import UUID

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import case, func, select
from sqlmodel import Session, col

from storage.tables import FAILED, FINISHED, LOST, QUEUED, RUNNING, START, Job, Leader, Outbox, Slot, now

STATES = (QUEUED, RUNNING, FINISHED, FAILED, LOST)
STILL_SECONDS = 10.0  # a leader's beat that has not moved for so long is nobody's; it moves twice a second

_THERE = select(col(Job.state), func.count()).where(col(Job.deleted_at).is_(None)).group_by(col(Job.state))
# Tries at a better result are no jobs, and wait for as long as they have to. They are few: looked up apart and taken off, since
# counting the rest directly, or these by group, would read every row where an index is enough.
# SQLite takes an index for "at least" (any id is), not for "is not null".
_TRIES = select(col(Job.state)).where(col(Job.reprocess_of) >= UUID(int=0), col(Job.deleted_at).is_(None))
_WAITING = select(func.min(col(Job.queued_at))).where(
    col(Job.state) == QUEUED, col(Job.deleted_at).is_(None), col(Job.reprocess_of).is_(None)
)
_LEASES = select(func.count()).where(
    col(Job.state) == RUNNING, col(Job.lease_token).is_not(None), col(Job.deleted_at).is_(None)
)
_SLOTS = select(func.count()).select_from(Slot)
# Starts wait for their job's turn; only one that was refused before is late.
_LATE = case(((col(Outbox.kind) != START) | (col(Outbox.tries) > 0), col(Outbox.created_at)))
_OUTBOX = select(func.count(), func.min(_LATE))
_LEADER = select(col(Leader.token), col(Leader.beat)).where(col(Leader.name) == "dispatcher")


class Pulse:
    """Whether a dispatcher leads: its beat moves. Seen by this process's own clock; no other machine's is trusted.

    Args:
        clock: seconds of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: object = None
        self._moved_at = 0.0

    def alive(self, beat: object) -> bool:
        """Whether this beat is a living leader's; at the first look it has the benefit of the doubt.

        Args:
            beat: who leads, and the count; None when nobody does.
        """
        if beat != self._seen:
            self._seen, self._moved_at = beat, self._clock()
        return beat is not None and self._clock() - self._moved_at < STILL_SECONDS


class RowsCollector(Collector):
    """The figures of the last `read`."""

    def __init__(self) -> None:
        self._pulse = Pulse()
        self._found: list[Metric] = []

    def read(self, session: Session) -> None:
        """Counts rows.

        Raises:
            DatabaseUnavailable
        """
        connection = session.connection()
        states = Counter({row[0]: row[1] for row in connection.execute(_THERE)})
        states.subtract(connection.scalars(_TRIES))
        waiting = connection.execute(_WAITING).scalar_one()
        length, oldest = connection.execute(_OUTBOX).one()
        leases, slots = connection.execute(_LEASES).scalar_one(), connection.execute(_SLOTS).scalar_one()
        leader = connection.execute(_LEADER).first()
        alive = self._pulse.alive(None if leader is None else tuple(leader))
        jobs = GaugeMetricFamily("splatflow_jobs", "Jobs by state.", labels=["state"])
        for state in STATES:
            jobs.add_metric([state], max(0, states[state]))
        self._found = [
            jobs,
            _gauge("splatflow_queue_oldest_seconds", "How long the job has waited that waits longest.", _age(waiting)),
            _gauge("splatflow_outbox_entries", "What the dispatcher has still to do; waiting jobs are in it.", length),
            _gauge(
                "splatflow_outbox_oldest_seconds",
                "Age of the oldest of those entries that do not just wait for their job's turn.",
                _age(oldest),
            ),
            _gauge("splatflow_leases_held", "Attempts that hold a job.", leases),
            _gauge("splatflow_slots_held", "GPUs, or CPU slots, that a step holds.", slots),
            _gauge("splatflow_dispatcher_alive", "Whether a dispatcher leads and its beat moves.", alive),
        ]

    def forget(self) -> None:
        """Tells nothing until the next `read`."""
        self._found = []

    def collect(self) -> Iterator[Metric]:
        yield from self._found


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _age(moment: datetime | None) -> float:
    """Seconds since then; 0 for nothing, and for what lies ahead (a job that is put off)."""
    return 0.0 if moment is None else max(0.0, (now() - moment).total_seconds())
