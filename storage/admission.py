"""Whose turn it is: the order in which waiting jobs start, and which of them are given to Prefect now. Pure.

1. Jobs that were interrupted at work, by the time since which they wait.
2. Interactive jobs; and of every `batch_every` starts one of batch, if one waits. So batch never starves, and never takes more
   than its share while somebody waits.
3. Within a class accounts take turns. An account's k-th job from the front has the number k + jobs of this class that the
   account has at work; the lowest number is next. Of equal numbers, the account that will have started one longest ago. So what
   an account has waiting delays nobody: another one's first job comes before all but those at work. This is fair queueing
   (Demers, Keshav, Shenker 1989) with every job of the same length and the number of turns for the virtual time.
4. Within an account, by the time since which they wait.

The same order gives the places in the queue. It is a function of rows alone: whoever computes it gets the same.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from storage.tables import BATCH

NEVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How turns are taken.

    Attributes:
        batch_every: of so many starts one is of a batch job, if one waits.
        release_ahead: so many jobs wait at Prefect, and one more for each at work: enough that no worker finds nothing to do.
        release_per_account: of one account and priority.
    """

    batch_every: int = 5
    release_ahead: int = 4
    release_per_account: int = 4

    def ahead(self, served: "Served") -> int:
        """How many jobs are to wait at Prefect now."""
        return self.release_ahead + sum(served.at_work.values())


USUAL = Rules()


class Waiting(NamedTuple):
    """A queued job.

    Attributes:
        since: when it could be started.
        interrupted: an attempt had begun it.
        run_id: it is released: its run waits at Prefect.
    """

    id: UUID
    account_id: UUID
    priority: str
    since: datetime
    interrupted: bool = False
    run_id: UUID | None = None


class Start(NamedTuple):
    """A job that was started."""

    account_id: UUID
    priority: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Served:
    """What accounts have and had.

    Attributes:
        at_work: jobs at work by account and priority.
        starts: the last ones over all accounts; an account that is not among them started none for long.
    """

    at_work: Mapping[tuple[UUID, str], int] = field(default_factory=dict)
    starts: Sequence[Start] = ()


def order(waiting: Iterable[Waiting], served: Served, rules: Rules) -> list[Waiting]:
    """All waiting jobs as they will start, if no job comes and each takes the same time."""
    interrupted: list[Waiting] = []
    interactive: list[Waiting] = []
    batch: list[Waiting] = []
    for job in waiting:
        (interrupted if job.interrupted else batch if job.priority == BATCH else interactive).append(job)
    interrupted.sort(key=_age)
    since_batch = _interactive_starts(served, batch)
    return interrupted + _merged(_in_turns(interactive, served), _in_turns(batch, served), since_batch, rules)


def to_release(
    ordered: Sequence[Waiting],
    served: Served,
    rules: Rules,
    *,
    put_off: Container[UUID] = (),
    running_limit: Callable[[UUID], int | None] = lambda _: None,
) -> list[Waiting]:
    """The jobs whose runs are to be made now, in order.

    Args:
        ordered: what `order` gives.
        put_off: jobs that can't be started yet.
        running_limit: how many jobs an account may have at work; None: any number. Asked once for an account.
    """
    chosen: list[Waiting] = []
    ahead = rules.ahead(served)
    limits: dict[UUID, int | None] = {}
    busy: Counter[UUID] = Counter()
    for (account, _), count in served.at_work.items():
        busy[account] += count
    at_prefect: Counter[tuple[UUID, str]] = Counter()
    for job in ordered:
        if job.run_id is not None:
            busy[job.account_id] += 1
            at_prefect[job.account_id, job.priority] += 1
    places = 0
    for job in ordered:
        if places >= ahead:
            break
        if job.run_id is not None:
            places += 1
            continue
        own = (job.account_id, job.priority)
        if job.account_id not in limits:
            limits[job.account_id] = running_limit(job.account_id)
        limit = limits[job.account_id]
        if (
            job.id in put_off
            or (limit is not None and busy[job.account_id] >= limit)
            or (at_prefect[own] >= rules.release_per_account and not job.interrupted)
        ):
            continue
        chosen.append(job)
        busy[job.account_id] += 1
        at_prefect[own] += 1
        places += 1
    return chosen


def _in_turns(jobs: list[Waiting], served: Served) -> list[Waiting]:
    by_account: dict[UUID, list[Waiting]] = {}
    for job in jobs:
        by_account.setdefault(job.account_id, []).append(job)
    last: dict[tuple[UUID, str], datetime] = {}
    for start in served.starts:
        own_class = (start.account_id, start.priority)
        last[own_class] = max(start.at, last.get(own_class, NEVER))
    numbered = []
    for account, own in by_account.items():
        own.sort(key=_age)
        # Without a start that is remembered: who waits for longest.
        own_class = (account, own[0].priority)
        turn = (last.get(own_class, NEVER), own[0].since, account)
        begin = served.at_work.get(own_class, 0)
        # Who comes in with a number goes before those whose last job, by then, started one number before.
        numbered += [(begin + k, -begin, turn, job) for k, job in enumerate(own)]
    numbered.sort(key=lambda one: one[:3])
    return [job for *_, job in numbered]


def _interactive_starts(served: Served, batch: Iterable[Waiting]) -> int:
    """Interactive jobs that were started since a batch job was, while one waited."""
    longest = min((job.since for job in batch), default=None)
    if longest is None:
        return 0
    since = max([longest, *(start.at for start in served.starts if start.priority == BATCH)])
    return sum(start.priority != BATCH and start.at > since for start in served.starts)


def _merged(interactive: list[Waiting], batch: list[Waiting], since_batch: int, rules: Rules) -> list[Waiting]:
    merged: list[Waiting] = []
    first, second = iter(interactive), iter(batch)
    left, count = len(interactive), since_batch
    for job in second:
        while left and count < rules.batch_every - 1:
            merged.append(next(first))
            left, count = left - 1, count + 1
        merged.append(job)
        count = 0
    merged += first
    return merged


def _age(job: Waiting) -> tuple[datetime, UUID]:
    return job.since, job.id
