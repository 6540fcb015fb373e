"""What whose turn it is depends on, read from rows: the jobs that wait, and what their accounts have and had."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, select
from sqlmodel import col

from storage.admission import Served, Start, Waiting
from storage.database import Database
from storage.tables import QUEUED, RUNNING, START, Job, Outbox, now

STARTS = 200

_WAITING = select(
    col(Job.id),
    col(Job.account_id),
    col(Job.priority),
    func.coalesce(col(Job.queued_at), col(Job.created_at)).label("since"),
    col(Job.started_at).is_not(None).label("interrupted"),
    col(Job.run_id),
    col(Job.queue_position),
).where(col(Job.state) == QUEUED, col(Job.deleted_at).is_(None))
_AT_WORK = (
    select(col(Job.account_id), col(Job.priority), func.count())
    .where(col(Job.state) == RUNNING, col(Job.deleted_at).is_(None))
    .group_by(col(Job.account_id), col(Job.priority))
)
_STARTS = (
    select(col(Job.account_id), col(Job.priority), col(Job.started_at))
    .where(col(Job.started_at).is_not(None))
    .order_by(col(Job.started_at).desc())
    .limit(STARTS)
)
_PUT_OFF = select(col(Outbox.job_id)).where(col(Outbox.kind) == START, col(Outbox.due_at) > bindparam("now"))


@dataclass(frozen=True, kw_only=True)
class Queue:
    """Jobs that wait.

    Attributes:
        places: as written last; None: not known.
        put_off: those that can't be started yet.
    """

    waiting: Sequence[Waiting]
    places: Mapping[UUID, int | None]
    served: Served
    put_off: frozenset[UUID]


def read(database: Database) -> Queue:
    """All waiting jobs at this moment, and what their order depends on.

    Raises:
        DatabaseUnavailable
    """
    with database.connection() as connection:
        rows = connection.execute(_WAITING).all()
        if not rows:
            return Queue(waiting=(), places={}, served=Served(), put_off=frozenset())
        return Queue(
            waiting=[Waiting(*row[:6]) for row in rows],
            places={row.id: row.queue_position for row in rows},
            served=_served(connection),
            put_off=frozenset(connection.execute(_PUT_OFF, {"now": now()}).scalars()),
        )


def _served(connection: Connection) -> Served:
    return Served(
        at_work={(row[0], row[1]): row[2] for row in connection.execute(_AT_WORK)},
        starts=[Start(*row) for row in connection.execute(_STARTS)],
    )
