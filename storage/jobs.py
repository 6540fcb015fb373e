"""What clients do to jobs: submit, look, change, cancel, retry, delete. Each is one short transaction.

Attempts at work write through `storage.attempts`; the dispatcher through `storage.dispatching`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, Row, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, SQLModel, col

from storage import measures, quotas, shadows, tally, webhooks
from storage.database import Database
from storage.tables import (
    DELETE,
    FAILED,
    LOST,
    OPEN_STATES,
    QUEUED,
    START,
    STOP,
    IdempotentSubmit,
    Job,
    Outbox,
    Upload,
    now,
)

CANCELLED = "cancelled"
CANCELLED_MESSAGE = "The job was cancelled; retry it to go on from the steps that were finished."

SOURCE_GONE_MESSAGE = (
    "The video of this job was removed on {:%Y-%m-%d}, with all that had been made of it; "
    "upload the video again and submit it as a new job."
)


class JobMissing(LookupError):
    """No such job for this account."""


class WrongState(Exception):
    """The job is in a state that does not allow this. `state` is its state."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


class SourceGone(Exception):
    """There is nothing left that the job could begin with, see `storage.retention`; the sentence says what to do."""


class IdempotencyConflict(Exception):
    """The idempotency key was used with another body."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A submit with an idempotency key: the key, and what identifies the request's body."""

    key: str
    body_sha256: str


def submit(
    database: Database,
    job: Job,
    answer: Callable[[Job], dict[str, Any]],
    idempotency: Submission | None = None,
    check: Callable[[Session], None] = lambda _: None,
) -> tuple[dict[str, Any], bool]:
    """Makes the job durable together with the wish to start it; returns the answer for the client and whether it is new.

    Args:
        job: the new row; its source object is in the store already.
        answer: what the client is told of it; kept for repeats of the same idempotency key.
        idempotency: None: every call makes a job.
        check: called within the transaction before a new job is made; what it raises is raised, and nothing is made.

    Raises:
        IdempotencyConflict: the key was used for another body.
        DatabaseUnavailable
    """
    try:
        with database.write() as session:
            if idempotency is not None and (known := known_answer_in(session, job.account_id, idempotency)) is not None:
                return known, False
            check(session)
            session.add(job)
            session.flush()
            session.add(Outbox(kind=START, job_id=job.id, attempt=job.attempt))
            session.execute(update(Upload).where(col(Upload.blob_name) == job.blob_name).values(submitted_at=now()))
            told = answer(job)
            if idempotency is not None:
                remember_answer_in(session, job.account_id, idempotency, job.id, told)
    except IntegrityError:
        # PostgreSQL lets two transactions look before either writes; the second finds the first's answer now.
        with database.read() as session:
            known = known_answer_in(session, job.account_id, idempotency) if idempotency is not None else None
        if known is None:
            raise
        return known, False
    return told, True


def known_answer(database: Database, account_id: UUID, idempotency: Submission) -> dict[str, Any] | None:
    """The first answer to a submit with this idempotency key, or None when it is new.

    Raises:
        IdempotencyConflict: the key was used for another body.
    """
    with database.read() as session:
        return known_answer_in(session, account_id, idempotency)


def get(database: Database, account_id: UUID, job_id: UUID) -> Job:
    """The account's job.

    Raises:
        JobMissing: there is none, it was deleted, or it is somebody else's; one query, so that they can't be told apart.
    """
    with database.read() as session:
        job = session.scalars(select(Job).where(*_visible(account_id, job_id))).first()
    if job is None:
        raise JobMissing(job_id)
    return job


def listed(
    database: Database,
    account_id: UUID,
    *,
    states: Sequence[str] | None = None,
    public: bool | None = None,
    limit: int | None = None,
    offset: int = 0,
    whole: bool = False,
) -> tuple[Sequence[Row[Any]], int]:
    """(id, title) of the account's jobs, newest first, and how many there are in all.

    Args:
        states: only these `Job.state`s.
        public: only public, or only private ones.
        limit: at most so many; None: all.
        offset: leave out so many of the newest.
        whole: rows with all columns of `Job` as attributes.
    """
    wanted = [col(Job.account_id) == account_id, col(Job.deleted_at).is_(None), col(Job.reprocess_of).is_(None)]
    if states is not None:
        wanted.append(col(Job.state).in_(states))
    if public is not None:
        wanted.append(col(Job.public).is_(public))
    columns = SQLModel.metadata.tables["job"].columns if whole else (col(Job.id), col(Job.title))
    query = select(*columns).where(*wanted)
    query = query.order_by(col(Job.created_at).desc(), col(Job.id).desc()).limit(limit).offset(offset)
    with database.read() as session:
        connection = session.connection()
        rows = connection.execute(query).all()
        if limit is None and offset == 0:
            return rows, len(rows)
        total = connection.execute(select(func.count()).select_from(Job).where(*wanted)).scalar_one()
    return rows, total


def change(database: Database, account_id: UUID, job_id: UUID, values: dict[str, Any]) -> Job:
    """Sets the named columns only, so that a running attempt's writes and this one lose nothing of each other.

    Raises:
        JobMissing
    """
    with database.write() as session:
        _update(session, account_id, job_id, {**values, "revision": col(Job.revision) + 1})
        return _row(session, account_id, job_id)


def cancel(database: Database, account_id: UUID, job_id: UUID) -> Job:
    """Ends a queued or running job: it is Failed at once, and its attempt can write no more.

    Raises:
        JobMissing
        WrongState: it has ended already.
    """
    with database.write() as session:
        job = _row(session, account_id, job_id, lock=True)
        if job.state not in OPEN_STATES:
            raise WrongState(job.state)
        end_in(session, job, error_code=CANCELLED, error_message=CANCELLED_MESSAGE)
        session.flush()
        return job


def retry(database: Database, account_id: UUID, job_id: UUID, check: Callable[[Session], None] = lambda _: None) -> Job:
    """A new attempt of a job that ended without outputs; finished steps are used again.

    Args:
        check: as of `submit`.

    Raises:
        JobMissing
        WrongState: the job has not failed.
        SourceGone: it failed so long ago that nothing of it is kept any more.
    """
    with database.write() as session:
        job = _row(session, account_id, job_id, lock=True)
        if job.state not in (FAILED, LOST):
            raise WrongState(job.state)
        if job.expired_at is not None:
            raise SourceGone(SOURCE_GONE_MESSAGE.format(job.expired_at))
        check(session)
        quotas.spend_in(session, account_id, job.started_at, job.finished_at)
        job.crashes, job.started_at = 0, None
        requeue_in(session, job)
        session.flush()
        return job


def remove(database: Database, account_id: UUID, job_id: UUID) -> None:
    """Deletes a job for its client at once; the dispatcher removes what it left.

    Raises:
        JobMissing: also when it is deleted already.
    """
    with database.write() as session:
        job = _row(session, account_id, job_id, lock=True)
        state = job.state
        quotas.spend_in(session, account_id, job.started_at, job.finished_at)
        _update(session, account_id, job_id, {"deleted_at": now(), "lease_token": None})
        session.execute(delete(IdempotentSubmit).where(col(IdempotentSubmit.job_id) == job_id))
        session.execute(delete(Outbox).where(col(Outbox.job_id) == job_id))
        session.add(Outbox(kind=DELETE, job_id=job_id))
        shadows.remove_in(session, job_id)
        webhooks.forget_job_in(session, job_id)
        if state in OPEN_STATES:
            tally.add(session, measures.ENDED.one(outcome=measures.DELETED))


def revisions(database: Database, job_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The revision of each job that still exists, for those who wait for changes."""
    query = select(col(Job.id), col(Job.revision)).where(col(Job.id).in_(job_ids), col(Job.deleted_at).is_(None))
    with database.read() as session:
        return {row.id: row.revision for row in session.connection().execute(query)}


def end_in(session: Session, job: Job, *, error_code: str, error_message: str) -> None:
    """Within a transaction: the job is Failed, whoever works on it is shut out, and its run is to be stopped."""
    job.state, job.error_code, job.error_message = FAILED, error_code, error_message
    job.finished_at, job.lease_token, job.queue_position = now(), None, None
    job.revision += 1
    session.execute(delete(Outbox).where(col(Outbox.job_id) == job.id, col(Outbox.kind) == START))
    if job.run_id is not None:
        session.add(Outbox(kind=STOP, job_id=job.id, run_id=job.run_id))
    session.add(job)
    webhooks.announce(session, job)
    tally.add(session, ended_as(error_code, job.reprocess_of))


def ended_as(error_code: str, reprocess_of: UUID | None) -> list[tally.Change]:
    """What is counted when a job ends without a scene; nothing for a try at a better result: its job has one."""
    if reprocess_of is not None:
        return []
    return measures.ENDED.one(outcome=measures.CANCELLED) if error_code == CANCELLED else measures.failed(error_code)


def requeue_in(session: Session, job: Job, *, after_seconds: float = 0.0) -> None:
    """Within a transaction: a new attempt is queued; the old one can write no more, and its run is to be stopped."""
    if job.run_id is not None:
        session.add(Outbox(kind=STOP, job_id=job.id, run_id=job.run_id))
    job.attempt += 1
    job.state, job.run_id, job.lease_token, job.queue_position = QUEUED, None, None, None
    job.step, job.percent, job.step_started_at, job.step_done, job.step_total = None, None, None, None, None
    job.error_code, job.error_message, job.finished_at = None, None, None
    job.revision += 1
    session.add(job)
    job.queued_at = due_at = now() + timedelta(seconds=after_seconds)
    session.add(Outbox(kind=START, job_id=job.id, attempt=job.attempt, due_at=due_at))


def _visible(account_id: UUID, job_id: UUID) -> tuple[Any, ...]:
    return (
        col(Job.id) == job_id,
        col(Job.account_id) == account_id,
        col(Job.deleted_at).is_(None),
        col(Job.reprocess_of).is_(None),
    )


def _row(session: Session, account_id: UUID, job_id: UUID, *, lock: bool = False) -> Job:
    query = select(Job).where(*_visible(account_id, job_id))
    job = session.scalars(query.with_for_update() if lock else query).first()
    if job is None:
        raise JobMissing(job_id)
    return job


def _update(session: Session, account_id: UUID, job_id: UUID, values: dict[str, Any]) -> None:
    done = session.execute(update(Job).where(*_visible(account_id, job_id)).values(**values))
    assert isinstance(done, CursorResult)
    if done.rowcount == 0:
        raise JobMissing(job_id)


def known_answer_in(session: Session, account_id: UUID, idempotency: Submission) -> dict[str, Any] | None:
    """Within a transaction: the first answer to a request with this idempotency key, or None when it is new.

    Raises:
        IdempotencyConflict: the key was used for another body.
    """
    known = session.get(IdempotentSubmit, (account_id, idempotency.key))
    if known is None:
        return None
    if known.body_sha256 != idempotency.body_sha256:
        raise IdempotencyConflict
    return known.answer


def remember_answer_in(
    session: Session, account_id: UUID, idempotency: Submission, made_id: UUID, answer: dict[str, Any]
) -> None:
    """Within a transaction: keeps the answer to a request that made the job, or the batch, `made_id`."""
    known = IdempotentSubmit(
        account_id=account_id,
        key=idempotency.key,
        body_sha256=idempotency.body_sha256,
        job_id=made_id,
        answer=answer,
    )
    session.add(known)
