"""Rows of housekeeping: which are past their time. What it does to objects is in `storage.garbage`."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import CursorResult, delete, func, select
from sqlmodel import col

from storage.database import Database
from storage.tables import OPEN_STATES, IdempotentSubmit, Job, Upload, WebhookDelivery, now

BATCH = 500


def expired_uploads(database: Database, *, grace: timedelta) -> list[str]:
    """Uploads that no job reads and whose URL expired `grace` ago."""
    with database.read() as session:
        return list(session.scalars(select(col(Upload.blob_name)).where(*_expired(now() - grace))))


def forget_uploads(database: Database, names: Sequence[str], *, grace: timedelta) -> list[str]:
    """Removes the rows of those of these uploads that no job reads even now, and whose URL expired `grace` ago; returns which."""
    gone: list[str] = []
    for first in range(0, len(names), BATCH):
        part = col(Upload.blob_name).in_(names[first : first + BATCH])
        with database.write() as session:
            wanted = delete(Upload).where(part, *_expired(now() - grace)).returning(col(Upload.blob_name))
            gone += session.scalars(wanted.execution_options(synchronize_session=False)).all()
    return gone


def _expired(before: datetime) -> tuple:
    return (
        col(Upload.expires_at) < before,
        ~select(col(Job.id)).where(col(Job.blob_name) == col(Upload.blob_name)).exists(),
    )


def existing_jobs(database: Database, job_ids: Iterable[UUID]) -> set[UUID]:
    """Those of these jobs that have a row, deleted ones that are still being removed included."""
    wanted, found = list(job_ids), set[UUID]()
    for first in range(0, len(wanted), BATCH):
        with database.read() as session:
            found.update(session.scalars(select(col(Job.id)).where(col(Job.id).in_(wanted[first : first + BATCH]))))
    return found


def jobs_in_need(database: Database, job_ids: Iterable[UUID], *, ended_within: timedelta) -> set[UUID]:
    """Those of these jobs that may still use what is on this machine: open, or ended not long ago."""
    wanted, found = list(job_ids), set[UUID]()
    recent = (col(Job.finished_at).is_not(None)) & (col(Job.finished_at) > now() - ended_within)
    for first in range(0, len(wanted), BATCH):
        query = select(col(Job.id)).where(
            col(Job.id).in_(wanted[first : first + BATCH]),
            col(Job.deleted_at).is_(None),
            col(Job.state).in_(OPEN_STATES) | recent,
        )
        with database.read() as session:
            found.update(session.scalars(query))
    return found


def forget_answers(database: Database, *, older_than: timedelta, dry_run: bool = False) -> int:
    """Forgets answers to submits with an idempotency key; returns how many."""
    old = col(IdempotentSubmit.created_at) < now() - older_than
    if dry_run:
        with database.read() as session:
            return session.execute(select(func.count()).select_from(IdempotentSubmit).where(old)).scalar_one()
    with database.write() as session:
        done = session.execute(delete(IdempotentSubmit).where(old))
        assert isinstance(done, CursorResult)
        return done.rowcount


def old_deliveries(database: Database, *, older_than: timedelta) -> int:
    """How many deliveries of webhooks were made so long ago."""
    query = (
        select(func.count()).select_from(WebhookDelivery).where(col(WebhookDelivery.created_at) < now() - older_than)
    )
    with database.read() as session:
        return session.execute(query).scalar_one()
