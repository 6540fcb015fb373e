"""What the dispatcher reads and writes: the outbox, the order of the queue, and what becomes of attempts that died."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import CursorResult, bindparam, delete, select, update
from sqlmodel import Session, col

from storage import actions, measures, tally, webhooks
from storage.database import Database
from storage.jobs import CANCELLED, CANCELLED_MESSAGE, end_in, requeue_in
from storage.tables import (
    LOST,
    OPEN_STATES,
    QUEUED,
    RUNNING,
    START,
    STOP,
    Job,
    Outbox,
    Slot,
    now,
)

LONGEST_PAUSE_SECONDS = 30.0
DEATH_PAUSE_SECONDS = 15.0  # before the second and later of several deaths in a row: what killed it may pass
BULK = 250
BREATH, LONGEST_BREATH_SECONDS = 1.0, 0.05  # pause after a part, by the time that it took

_PLACE = (
    update(Job)
    .where(col(Job.id) == bindparam("job"), col(Job.state) == QUEUED)
    .values(queue_position=bindparam("place"), revision=col(Job.revision) + 1)
)


@dataclass(frozen=True, kw_only=True)
class OpenJob:
    """A job that waits or is at work, as the dispatcher needs to know it."""

    id: UUID
    state: str
    attempt: int
    run_id: UUID | None
    lease_token: UUID | None
    lease_beat: int


def due(database: Database, *, kinds: Sequence[str], limit: int = 50) -> list[Outbox]:
    """The entries that have been due for longest; those that were put off don't keep the others from their turn."""
    query = select(Outbox).where(col(Outbox.due_at) <= now(), col(Outbox.kind).in_(kinds))
    with database.read() as session:
        return list(session.scalars(query.order_by(col(Outbox.due_at), col(Outbox.id)).limit(limit)))


def done(database: Database, entry: Outbox) -> None:
    """An entry was carried out."""
    with database.write() as session:
        session.execute(delete(Outbox).where(col(Outbox.id) == entry.id))


def again(database: Database, entry: Outbox, *, seconds: float | None = None) -> None:
    """An entry could not be carried out now; it comes again after `seconds`, or after a pause that grows with its tries."""
    pause = seconds if seconds is not None else min(LONGEST_PAUSE_SECONDS, 2.0 ** min(entry.tries, 10))
    with database.write() as session:
        session.execute(
            update(Outbox)
            .where(col(Outbox.id) == entry.id)
            .values(tries=col(Outbox.tries) + 1, due_at=now() + timedelta(seconds=pause))
        )


def started(database: Database, entry: Outbox, run_id: UUID) -> bool:
    """The run of an attempt exists. False when the job no longer wants it: then the run is to be stopped.

    It may be at work already: a run that was made, but whose making was not heard of, claims its job by itself.
    """
    with database.write() as session:
        where = (
            col(Job.id) == entry.job_id,
            col(Job.attempt) == entry.attempt,
            (col(Job.state) == QUEUED) | ((col(Job.state) == RUNNING) & (col(Job.run_id) == run_id)),
            col(Job.deleted_at).is_(None),
        )
        changed = session.execute(update(Job).where(*where).values(run_id=run_id))
        assert isinstance(changed, CursorResult)
        session.execute(delete(Outbox).where(col(Outbox.id) == entry.id))
        return changed.rowcount > 0


def starts_of(database: Database, job_ids: Sequence[UUID]) -> dict[UUID, Outbox]:
    """The start entries of these jobs, by job."""
    query = select(Outbox).where(col(Outbox.job_id).in_(job_ids), col(Outbox.kind) == START)
    with database.read() as session:
        return {entry.job_id: entry for entry in session.scalars(query.order_by(col(Outbox.id)))}


def take_back(database: Database, job_id: UUID, run_id: UUID | None) -> None:
    """A job that waits at Prefect is to get another run, with its place kept; nothing when it waits no more."""
    with database.write() as session:
        where = (
            col(Job.id) == job_id,
            col(Job.run_id) == run_id,
            col(Job.state) == QUEUED,
            col(Job.deleted_at).is_(None),
        )
        job = session.scalars(select(Job).where(*where).with_for_update()).first()
        if job is None:
            return
        session.add(Outbox(kind=STOP, job_id=job.id, run_id=run_id))
        told = "its turn came while it waited where workers look last"
        actions.note(session, job, actions.MOVED_UP, told, attempt=job.attempt, run_id=run_id)
        job.attempt, job.run_id = job.attempt + 1, None  # another number: the old run can't claim it any more
        session.add(job)
        session.add(Outbox(kind=START, job_id=job.id, attempt=job.attempt))


def job_to_start(database: Database, entry: Outbox) -> Job | None:
    """The job that a start entry is about, or None when it no longer waits for that attempt."""
    with database.read() as session:
        job = session.get(Job, entry.job_id)
    if job is None or job.deleted_at is not None or job.attempt != entry.attempt or job.state != QUEUED:
        return None
    return job


def open_jobs(database: Database, *, with_runs: bool = False) -> list[OpenJob]:
    """All jobs that wait or are at work.

    Args:
        with_runs: only those that have a run; thousands may wait for one.
    """
    columns = select(
        col(Job.id), col(Job.state), col(Job.attempt), col(Job.run_id), col(Job.lease_token), col(Job.lease_beat)
    )
    with database.read() as session:
        open_ones = columns.where(col(Job.state).in_(OPEN_STATES), col(Job.deleted_at).is_(None))
        rows = session.connection().execute(open_ones.where(col(Job.run_id).is_not(None)) if with_runs else open_ones)
        return [
            OpenJob(
                id=row.id,
                state=row.state,
                attempt=row.attempt,
                run_id=row.run_id,
                lease_token=row.lease_token,
                lease_beat=row.lease_beat,
            )
            for row in rows
        ]


def set_positions(database: Database, positions: Mapping[UUID, int | None]) -> None:
    """Writes the changed places of waiting jobs, by job; None: not known.

    Many are written in parts, with pauses: who finds SQLite locked asks again now and then, and must find it free.
    """
    items = list(positions.items())
    for first in range(0, len(items), BULK):
        begin = time.monotonic()
        values = [{"job": job_id, "place": position} for job_id, position in items[first : first + BULK]]
        with database.write() as session:
            session.connection().execute(_PLACE, values)
        if first + BULK < len(items):
            time.sleep(min(LONGEST_BREATH_SECONDS, BREATH * (time.monotonic() - begin)))


def attempt_died(
    database: Database, seen: OpenJob, *, max_attempts: int, reason: str, silent_seconds: float | None = None
) -> str | None:
    """Gives a job whose attempt died another one, or ends it when too many died; returns its new state.

    None when the row is no longer as it was seen: somebody else was faster, or the attempt lives after all.
    """
    with database.write() as session:
        query = select(Job).where(
            col(Job.id) == seen.id,
            col(Job.attempt) == seen.attempt,
            col(Job.state) == seen.state,
            col(Job.lease_beat) == seen.lease_beat,
            col(Job.deleted_at).is_(None),
        )
        job = session.scalars(query.with_for_update()).first()
        if job is None:
            return None
        job.crashes += 1
        given_up = job.crashes >= max_attempts
        actions.note(
            session,
            job,
            actions.GIVEN_UP if given_up else actions.REQUEUED,
            reason + _released_in(session, seen),
            attempt=seen.attempt,
            run_id=seen.run_id,
            silent_seconds=silent_seconds,
        )
        tally.add(session, measures.DEATHS.one())
        if given_up:
            end_in(
                session,
                job,
                error_code="crashed",
                error_message=f"The run died {job.crashes} times ({reason}); retry the job, and if it dies again look at the worker's log.",
            )
        else:
            requeue_in(session, job, after_seconds=DEATH_PAUSE_SECONDS * (job.crashes - 1))
        return job.state


def _released_in(session: Session, seen: OpenJob) -> str:
    """Gives back the slots of an attempt that died, which nobody minds any more; tells which."""
    if seen.lease_token is None:
        return ""
    held = session.scalars(select(Slot).where(col(Slot.lease_token) == seen.lease_token)).all()
    for slot in held:
        session.delete(slot)
    return "".join(f"; {slot.name} released" for slot in held)


def run_cancelled(database: Database, seen: OpenJob) -> None:
    """Somebody cancelled the run in Prefect: the job ends as one that its owner cancelled."""
    with database.write() as session:
        query = select(Job).where(
            col(Job.id) == seen.id,
            col(Job.run_id) == seen.run_id,
            col(Job.state).in_(OPEN_STATES),
            col(Job.deleted_at).is_(None),
        )
        job = session.scalars(query.with_for_update()).first()
        if job is not None:
            told = "its run was cancelled at Prefect"
            actions.note(session, job, actions.CANCELLED, told, attempt=seen.attempt, run_id=seen.run_id)
            end_in(session, job, error_code=CANCELLED, error_message=CANCELLED_MESSAGE)


def run_lost(database: Database, seen: OpenJob) -> None:
    """The queue does not know the run any more (somebody deleted it): the job is "Not found" until it is retried."""
    with database.write() as session:
        changed = session.execute(
            update(Job)
            .where(
                col(Job.id) == seen.id,
                col(Job.run_id) == seen.run_id,
                col(Job.state).in_(OPEN_STATES),
                col(Job.lease_beat) == seen.lease_beat,
            )
            .values(
                state=LOST, finished_at=now(), lease_token=None, queue_position=None, revision=col(Job.revision) + 1
            )
        )
        assert isinstance(changed, CursorResult)
        job = session.get(Job, seen.id) if changed.rowcount > 0 else None
        if job is not None:
            told = "Prefect does not know its run any more"
            actions.note(session, job, actions.LOST, told, attempt=seen.attempt, run_id=seen.run_id)
        if job is not None and job.reprocess_of is None:
            webhooks.announce(session, job)
            tally.add(session, measures.ENDED.one(outcome=measures.LOST))


def ensure_started(database: Database) -> int:
    """Waiting jobs without a run and without an outbox entry get one: whatever lost it, the job is not. Returns how many."""
    wishes = select(col(Outbox.id)).where(col(Outbox.job_id) == col(Job.id), col(Outbox.kind) == START)
    forgotten = select(col(Job.id), col(Job.attempt)).where(
        col(Job.state) == QUEUED, col(Job.run_id).is_(None), col(Job.deleted_at).is_(None), ~wishes.exists()
    )
    with database.read() as session:  # nearly always none, and thousands may wait: no write lock for that
        if session.connection().execute(forgotten.limit(1)).first() is None:
            return 0
    with database.write() as session:
        found = session.scalars(select(Job).where(col(Job.id).in_(forgotten.with_only_columns(col(Job.id))))).all()
        for job in found:
            session.add(Outbox(kind=START, job_id=job.id, attempt=job.attempt))
            told = "nothing was there that would have started it"
            actions.note(session, job, actions.ASKED_AGAIN, told, attempt=job.attempt, run_id=None)
    return len(found)


def stop_run(database: Database, job_id: UUID, run_id: UUID) -> None:
    """A run is to be stopped."""
    with database.write() as session:
        session.add(Outbox(kind=STOP, job_id=job_id, run_id=run_id))
