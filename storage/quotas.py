"""What an account may use, and what it uses. A quota that is missing or 0 is none.

    running   jobs at work at a time, tries at better results included; more of them only wait
    queued    jobs that wait for their turn
    bytes     the videos and the files of its jobs; uploads that were not submitted and intermediates don't count
    hours     of processing in a month (UTC), from a job's begin to its end, deleted jobs and tries included

An account's own quota goes before the settings'; its own 0 is no limit. Whoever takes a place looks in the transaction that takes it, and
holds the account's row meanwhile, so that two can't both take the last one.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, cast, func, or_, select, text
from sqlmodel import Session, col

from storage.database import Database
from storage.settings import Settings
from storage.tables import QUEUED as WAITING
from storage.tables import RUNNING as AT_WORK
from storage.tables import Account, Job, now

RUNNING, QUEUED, BYTES, HOURS = "running", "queued", "bytes", "hours"
NAMES = (RUNNING, QUEUED, BYTES, HOURS)
HOUR_SECONDS = 3600.0
FRESH_SECONDS = 5.0
ASK = "or ask the operator for more"


class QuotaExceeded(Exception):
    """The account has used up a quota; the sentence says which, how much of it, and what to do."""

    slug = "quota_exceeded"


@dataclass(frozen=True, kw_only=True)
class Quota:
    """How much there may be of something, None for any amount, and how much there is."""

    limit: int | None
    used: float


def limits_of(own: Mapping[str, int], settings: Settings) -> dict[str, int | None]:
    """The quotas in force, by name; None: no limit.

    Args:
        own: the account's.
    """
    usual = {
        RUNNING: settings.quota_running,
        QUEUED: settings.quota_queued,
        BYTES: settings.quota_bytes,
        HOURS: settings.quota_hours,
    }
    return {name: own.get(name, usual[name]) or None for name in NAMES}


def standing(database: Database, settings: Settings, account_id: UUID) -> dict[str, Quota]:
    """All quotas of an account and what it uses of each."""
    with database.read() as session:
        limits = limits_of(_own(session, account_id), settings)
        return {name: Quota(limit=limits[name], used=_USED[name](session, account_id)) for name in NAMES}


def check(database: Database, settings: Settings, account_id: UUID, wanted: Mapping[str, int]) -> None:
    """As `check_in`, to tell soon; what is told may have changed when the place is taken.

    Raises:
        QuotaExceeded
    """
    with database.read() as session:
        _check(session, account_id, limits_of(_own(session, account_id), settings), wanted)


def check_in(session: Session, settings: Settings, account_id: UUID, wanted: Mapping[str, int]) -> None:
    """Within the transaction that takes it: whether so much more may be taken. Until it ends no other one can.

    Args:
        wanted: by name of a quota: jobs, or bytes; of hours 0, since nobody knows how long a job takes.

    Raises:
        QuotaExceeded
    """
    limits = limits_of(_own(session, account_id), settings)
    if all(limits[name] is None for name in wanted):
        return
    # Not FOR UPDATE: rows that refer to the account may be written meanwhile, only another look like this one waits.
    lock = select(col(Account.id)).where(col(Account.id) == account_id).with_for_update(key_share=True)
    session.execute(lock).all()
    _check(session, account_id, limits, wanted)


def spend_in(session: Session, account_id: UUID, start: datetime | None, end: datetime | None) -> None:
    """Within a transaction: a run's row is about to forget when it began and ended; its time stays counted for the account's month.

    Args:
        end: None: it goes on until now.
    """
    moment = now()
    month = month_of(moment)
    seconds = 0.0 if start is None else within(start, end, month, moment)
    if seconds <= 0:
        return
    query = select(Account).where(col(Account.id) == account_id).with_for_update(key_share=True)
    account = session.scalars(query.execution_options(populate_existing=True)).one()
    name = f"{month:%Y-%m}"
    account.spent_seconds = {name: account.spent_seconds.get(name, 0.0) + round(seconds, 3)}
    session.add(account)


def bytes_in(session: Session, account_id: UUID) -> int:
    """Bytes of the account's jobs: their videos, while they are kept, and their files."""
    dialect = session.get_bind().dialect.name
    return int(
        session.execute(_BYTES["sqlite" if dialect == "sqlite" else "postgresql"], {"id": account_id}).scalar_one()
    )


def seconds_in(session: Session, account_id: UUID) -> float:
    """Seconds that the account's jobs have taken this month."""
    moment = now()
    month = month_of(moment)
    runs = select(col(Job.started_at), col(Job.finished_at)).where(
        col(Job.account_id) == account_id,
        col(Job.deleted_at).is_(None),
        col(Job.started_at).is_not(None),
        or_(col(Job.finished_at).is_(None), col(Job.finished_at) >= month),
    )
    spent = session.execute(select(col(Account.spent_seconds)).where(col(Account.id) == account_id)).scalar_one()
    rows = session.connection().execute(runs)
    return spent.get(f"{month:%Y-%m}", 0.0) + sum(within(row[0], row[1], month, moment) for row in rows)


def within(start: datetime, end: datetime | None, month: datetime, moment: datetime) -> float:
    """Seconds of a run that lie between the month's beginning and `moment`; `end` is None while it goes on."""
    return max(0.0, (min(end or moment, moment) - max(start, month)).total_seconds())


def month_of(moment: datetime) -> datetime:
    """When the month of a moment in UTC began."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


class RunningLimits:
    """How many jobs an account may have at work, for those who start them: one query for all accounts, every few seconds.

    Args:
        usual: of accounts that have no quota of their own; 0: any number.
        clock: seconds of a clock that never goes back.
    """

    def __init__(self, database: Database, usual: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._usual, self._clock = database, usual, clock
        self._own: dict[UUID, int] = {}
        self._read_at = float("-inf")

    def __call__(self, account_id: UUID) -> int | None:
        """The account's limit; None: any number.

        Raises:
            DatabaseUnavailable
        """
        if self._clock() - self._read_at > FRESH_SECONDS:
            with self._database.connection() as connection:
                rows = connection.execute(_OWN_RUNNING).all()
            self._own = {row.id: row.quotas[RUNNING] for row in rows if RUNNING in row.quotas}
            self._read_at = self._clock()
        return self._own.get(account_id, self._usual) or None


def _own(session: Session, account_id: UUID) -> dict[str, int]:
    return session.execute(select(col(Account.quotas)).where(col(Account.id) == account_id)).scalar_one()


def _running(session: Session, account_id: UUID) -> int:
    return session.execute(_COUNT.where(col(Job.account_id) == account_id, col(Job.state) == AT_WORK)).scalar_one()


def _queued(session: Session, account_id: UUID) -> int:
    own = (col(Job.account_id) == account_id, col(Job.state) == WAITING, col(Job.reprocess_of).is_(None))
    return session.execute(_COUNT.where(*own)).scalar_one()


def _hours(session: Session, account_id: UUID) -> float:
    return seconds_in(session, account_id) / HOUR_SECONDS


def _check(session: Session, account_id: UUID, limits: Mapping[str, int | None], wanted: Mapping[str, int]) -> None:
    for name, more in wanted.items():
        limit = limits[name]
        if limit is None:
            continue
        used = _USED[name](session, account_id)
        if used >= limit if name == HOURS else used + more > limit:
            raise QuotaExceeded(_sentence(name, limit, used, more))


def _sentence(name: str, limit: int, used: float, more: int) -> str:
    match name:
        case "queued":
            return (
                f"This account has {used:.0f} {'job' if used == 1 else 'jobs'} waiting and its quota queued is {limit}; "
                f"come again when some have begun, cancel some, {ASK}."
            )
        case "bytes":
            return (
                f"The jobs of this account hold {used:.0f} bytes and its quota bytes is {limit}, too little for "
                f"{more} more; delete jobs that are not needed any more, {ASK}."
            )
        case "hours":
            month = month_of(now())
            following = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
            return (
                f"This account has used {used:.2f} hours of processing this month and its quota hours is {limit}; "
                f"come again after {following:%Y-%m-%dT%H:%M:%SZ}, {ASK}."
            )
        case _:
            raise AssertionError(name)


_USED: Mapping[str, Callable[[Session, UUID], float]] = {
    RUNNING: _running,
    QUEUED: _queued,
    BYTES: bytes_in,
    HOURS: _hours,
}
_COUNT = select(func.count()).select_from(Job).where(col(Job.deleted_at).is_(None))
_OWN_RUNNING = select(col(Account.id), col(Account.quotas)).where(
    cast(col(Account.quotas), Text).like(f'%"{RUNNING}"%')
)
_FILES = {
    "sqlite": "SELECT coalesce(sum(json_extract(file.value, '$.bytes')), 0) FROM json_each(job.files) AS file",
    "postgresql": "SELECT coalesce(sum((file.value ->> 'bytes')::bigint), 0) FROM json_each(job.files) AS file",
}
_BYTES = {
    dialect: text(
        f"SELECT coalesce(sum(job.source_bytes + ({files})), 0) FROM job "
        "WHERE account_id = :id AND deleted_at IS NULL AND reprocess_of IS NULL"
    ).bindparams(bindparam("id", type_=Uuid()))
    for dialect, files in _FILES.items()
}
