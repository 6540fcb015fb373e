"""Where at Prefect a run is put, so that runs start in the order of admission.

A worker takes runs by their work queue, then by their scheduled time. Interrupted jobs are in `high`, all others in `default`,
batch in `low` while no interactive job comes after it. Within a work queue a run that goes before others that wait already is
scheduled before them; so who comes late and is next need not wait for what was released early.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from api.dispatch.runs import WaitingRun
from flows import request
from storage.admission import Waiting
from storage.tables import BATCH

STEP = timedelta(milliseconds=1)


class Place(NamedTuple):
    """A work queue, and the time for which a run there is scheduled."""

    queue: str
    since: datetime


class Line:
    """Prefect's queue, held against the order of admission.

    Args:
        ordered: all waiting jobs in that order.
        at_prefect: the runs that wait, in the order in which they will start.
    """

    def __init__(self, ordered: Sequence[Waiting], at_prefect: Sequence[WaitingRun]) -> None:
        self._number = {job.id: number for number, job in enumerate(ordered)}
        self._last_interactive = max(
            (number for number, job in enumerate(ordered) if job.priority != BATCH and not job.interrupted), default=-1
        )
        of_run = {job.run_id: number for number, job in enumerate(ordered) if job.run_id is not None}
        self._queues: dict[str, list[tuple[int, datetime]]] = {}
        for run in at_prefect:
            number = of_run.get(run.id)
            if number is None or run.taken:
                continue
            self._queues.setdefault(run.queue, []).append((number, run.since))

    def put(self, job: Waiting) -> Place:
        """Puts a job's run among those that wait."""
        number = self._number[job.id]
        queue = self._queue_of(job, number)
        others = self._queues.setdefault(queue, [])
        at = next((index for index, (other, _) in enumerate(others) if other > number), len(others))
        since = _between(job.since, others[at - 1][1] if at else None, others[at][1] if at < len(others) else None)
        others.insert(at, (number, since))
        return Place(queue, since)

    def _queue_of(self, job: Waiting, number: int) -> str:
        if job.interrupted:
            return request.FIRST_QUEUE
        return (
            request.LAST_QUEUE if job.priority == BATCH and number > self._last_interactive else request.DEFAULT_QUEUE
        )


def _between(wished: datetime, after: datetime | None, before: datetime | None) -> datetime:
    """The wished time, or one near it that is after the one and before the other."""
    if before is not None and wished >= before:
        wished = before - STEP
    if after is not None and wished <= after:
        wished = after + (STEP if before is None else (before - after) / 2)
    return wished


def overdue(ordered: Sequence[Waiting], at_prefect: Sequence[WaitingRun], ahead: int) -> list[Waiting]:
    """Batch jobs whose turn has come, but which wait where workers look last.

    Args:
        ahead: so many places from the front a turn has come.
    """
    last = {run.id for run in at_prefect if run.queue == request.LAST_QUEUE and not run.taken}
    return [job for job in early_batch(ordered, ahead) if job.run_id in last]


def early_batch(ordered: Sequence[Waiting], ahead: int) -> list[Waiting]:
    """Released batch jobs near the front, before an interactive one."""
    last = max((n for n, job in enumerate(ordered) if job.priority != BATCH and not job.interrupted), default=-1)
    front = ordered[: max(0, min(ahead, last))]
    return [job for job in front if job.priority == BATCH and not job.interrupted and job.run_id is not None]


def places(ordered: Sequence[Waiting], at_prefect: Sequence[WaitingRun]) -> dict[UUID, int | None]:
    """The place of each waiting job: of those at Prefect what starts before, foreign runs included, then in the order of admission.

    None: its run waits no more, and has not begun.
    """
    of_run = {run.id: number for number, run in enumerate(at_prefect, 1)}
    found: dict[UUID, int | None] = {}
    number = len(at_prefect)
    for job in ordered:
        if job.run_id is not None:
            found[job.id] = of_run.get(job.run_id)
        else:
            number += 1
            found[job.id] = number
    return found
