"""Batches: many jobs that are made again. All of their state is in rows, so that whoever goes on with one (`storage.batch_work`) begins
where it was left.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, SQLModel, col

from storage import batch_spec
from storage.database import Database
from storage.jobs import (
    Submission,
    WrongState,
    known_answer_in,
    remember_answer_in,
)
from storage.shadows import ITEM_STATES, SKIPPED, WAITING
from storage.tables import FAILED, FINISHED, LOST, Batch, BatchItem, Job, now

RUNNING, DONE, STOPPED = "running", "finished", "cancelled"
STATES = {"finished": (FINISHED,), "failed": (FAILED, LOST)}
STOPPED_REASON = "The batch was cancelled."
BULK = 500
Answer = dict[str, Any]


class BatchMissing(LookupError):
    """No such batch for this account."""


class TooManyJobs(ValueError):
    """More jobs match than one batch takes. `count` is how many."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


def selected(database: Database, account_id: UUID | None, spec: dict[str, Any]) -> Sequence[Row[Any]]:
    """Whole rows of the jobs that a batch would take up, the oldest first.

    Args:
        account_id: whose; None: everybody's.
        spec: see `storage.batch_spec.BatchSpec.row`.

    Raises:
        TooManyJobs
    """
    wanted = spec["jobs"]
    query = select(*SQLModel.metadata.tables["job"].columns).where(
        col(Job.reprocess_of).is_(None), col(Job.deleted_at).is_(None), col(Job.state).in_(STATES[wanted["status"]])
    )
    if account_id is not None:
        query = query.where(col(Job.account_id) == account_id)
    if wanted["older_than_days"] is not None:
        query = query.where(col(Job.created_at) <= now() - timedelta(days=wanted["older_than_days"]))
    query = query.order_by(col(Job.created_at), col(Job.id))
    ids = None if wanted["job_ids"] is None else [UUID(text) for text in wanted["job_ids"]]
    parts = (
        [query] if ids is None else [query.where(col(Job.id).in_(ids[n : n + BULK])) for n in range(0, len(ids), BULK)]
    )
    with database.connection() as connection:
        rows = [row for part in parts for row in connection.execute(part) if _fits(row, wanted)]
    if len(rows) > batch_spec.MAX_JOBS:
        raise TooManyJobs(len(rows))
    return rows


def _fits(row: Row[Any], wanted: dict[str, Any]) -> bool:
    pipeline = (row.quality or {}).get("pipeline")
    return (
        (wanted["title"] is None or fnmatchcase(row.title, wanted["title"]))
        and (wanted["pipeline"] is None or pipeline in wanted["pipeline"])
        and (wanted["not_pipeline"] is None or pipeline not in wanted["not_pipeline"])
    )


def create(
    database: Database,
    batch: Batch,
    answer: Callable[[Batch, dict[str, int]], Answer],
    idempotency: Submission | None = None,
) -> tuple[Answer, bool]:
    """Makes a batch of the jobs that match now; returns the answer for the client and whether it is new. A batch whose id is there
    already is not made again. The dispatcher sees that it has something to begin, and makes a run for it.

    Args:
        answer: what the client is told, of the batch and the counts of its items; kept for repeats of the same key.

    Raises:
        IdempotencyConflict, TooManyJobs, DatabaseUnavailable
    """
    rows = selected(database, batch.account_id, batch.spec)
    try:
        with database.write() as session:
            if idempotency is not None and batch.account_id is not None:
                known = known_answer_in(session, batch.account_id, idempotency)
                if known is not None:
                    return known, False
            if session.get(Batch, batch.id) is not None:
                return answer(batch, counts_in(session, [batch.id])[batch.id]), False
            session.add(batch)
            session.flush()
            items = [{"batch_id": batch.id, "job_id": row.id, "state": WAITING} for row in rows]
            for first in range(0, len(items), BULK):
                session.execute(insert(BatchItem), items[first : first + BULK])
            told = answer(batch, {**dict.fromkeys(ITEM_STATES, 0), WAITING: len(items)})
            if idempotency is not None and batch.account_id is not None:
                remember_answer_in(session, batch.account_id, idempotency, batch.id, told)
    except (
        IntegrityError
    ):  # made at the same moment by a request with the same key, or by another run of the same batch
        with database.read() as session:
            if idempotency is not None and batch.account_id is not None:
                known = known_answer_in(session, batch.account_id, idempotency)
                if known is not None:
                    return known, False
            if session.get(Batch, batch.id) is None:
                raise
            return answer(batch, counts_in(session, [batch.id])[batch.id]), False
    return told, True


def get(database: Database, batch_id: UUID, account_id: UUID | None = None) -> tuple[Batch, dict[str, int]]:
    """A batch and the counts of its items.

    Args:
        account_id: whose it must be; None: anybody's, or an operator's.

    Raises:
        BatchMissing
    """
    with database.read() as session:
        return (batch := row_in(session, batch_id, account_id)), counts_in(session, [batch.id])[batch.id]


def listed(
    database: Database, account_id: UUID, *, limit: int, offset: int
) -> tuple[list[tuple[Batch, dict[str, int]]], int]:
    """The account's batches, the newest first, with the counts of their items, and how many there are in all."""
    own = col(Batch.account_id) == account_id
    with database.read() as session:
        total = session.scalars(select(func.count()).select_from(Batch).where(own)).one()
        query = select(Batch).where(own).order_by(col(Batch.created_at).desc(), col(Batch.id).desc())
        rows = list(session.scalars(query.limit(limit).offset(offset)))
        counts = counts_in(session, [batch.id for batch in rows])
    return [(batch, counts[batch.id]) for batch in rows], total


def items(
    database: Database, batch_id: UUID, *, limit: int | None = None, offset: int = 0
) -> list[tuple[BatchItem, str | None]]:
    """Items of a batch with the titles of their jobs, the oldest job first; None for a job that is gone."""
    visible = (col(Job.id) == col(BatchItem.job_id)) & col(Job.deleted_at).is_(None)
    query = select(BatchItem, col(Job.title)).outerjoin(Job, visible).where(col(BatchItem.batch_id) == batch_id)
    query = query.order_by(col(Job.created_at), col(BatchItem.job_id)).limit(limit).offset(offset)
    with database.read() as session:
        return [(item, title) for item, title in session.execute(query).all()]


def counts_in(session: Session, batch_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """How many items of each batch are in which state."""
    found: dict[UUID, dict[str, int]] = {batch_id: {**dict.fromkeys(ITEM_STATES, 0)} for batch_id in batch_ids}
    query = select(col(BatchItem.batch_id), col(BatchItem.state), func.count())
    query = query.where(col(BatchItem.batch_id).in_(batch_ids)).group_by(col(BatchItem.batch_id), col(BatchItem.state))
    for batch_id, state, count in session.execute(query).all():
        found[batch_id][state] = count
    return found


def open_batches(database: Database) -> list[Batch]:
    """Batches that are not at their end."""
    with database.read() as session:
        return list(session.scalars(select(Batch).where(col(Batch.state) == RUNNING).order_by(col(Batch.created_at))))


def cancel(database: Database, batch_id: UUID, account_id: UUID | None = None) -> Batch:
    """Ends a batch: what waits is skipped, and what was decided stays. `storage.batch_work.settle` stops what is at work.

    Raises:
        BatchMissing
        WrongState: it has ended already.
    """
    with database.write() as session:
        batch = row_in(session, batch_id, account_id, lock=True)
        if batch.state != RUNNING:
            raise WrongState(batch.state)
        batch.state, batch.finished_at = STOPPED, now()
        session.add(batch)
        waiting = (col(BatchItem.batch_id) == batch_id, col(BatchItem.state) == WAITING)
        session.execute(update(BatchItem).where(*waiting).values(state=SKIPPED, reason=STOPPED_REASON))
        return batch


def row_in(session: Session, batch_id: UUID, account_id: UUID | None, *, lock: bool = False) -> Batch:
    """Within a transaction: the batch.

    Raises:
        BatchMissing
    """
    query = select(Batch).where(col(Batch.id) == batch_id)
    query = query if account_id is None else query.where(col(Batch.account_id) == account_id)
    batch = session.scalars(query.with_for_update() if lock else query).first()
    if batch is None:
        raise BatchMissing(batch_id)
    return batch
