"""What `flows.maintain` asks: which uploads, answers, objects and folders are past their time."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import CursorResult, delete, select
from sqlmodel import col

from storage.database import Database
from storage.tables import OPEN_STATES, IdempotentSubmit, Job, Upload, now

BATCH = 500


def expired_uploads(database: Database, *, grace: timedelta) -> list[str]:
    """Uploads that no job reads and whose URL expired `grace` ago."""
    query = select(col(Upload.blob_name)).where(
        col(Upload.expires_at) < now() - grace,
        ~select(col(Job.id)).where(col(Job.blob_name) == col(Upload.blob_name)).exists(),
    )
    with database.read() as session:
        return list(session.scalars(query))


def forget_uploads(database: Database, names: Sequence[str]) -> None:
    """Removes the rows of uploads."""
    for first in range(0, len(names), BATCH):
        with database.write() as session:
            session.execute(delete(Upload).where(col(Upload.blob_name).in_(names[first : first + BATCH])))


def unknown_uploads(database: Database, names: Sequence[str]) -> list[str]:
    """Those of these uploads that have no row."""
    known: set[str] = set()
    for first in range(0, len(names), BATCH):
        with database.read() as session:
            query = select(col(Upload.blob_name)).where(col(Upload.blob_name).in_(names[first : first + BATCH]))
            known.update(session.scalars(query))
    return [name for name in names if name not in known]


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


def forget_answers(database: Database, *, older_than: timedelta) -> int:
    """Forgets answers to submits with an idempotency key; returns how many."""
    with database.write() as session:
        done = session.execute(delete(IdempotentSubmit).where(col(IdempotentSubmit.created_at) < now() - older_than))
        assert isinstance(done, CursorResult)
        return done.rowcount
