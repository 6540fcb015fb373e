"""What is left of a deleted job, for the dispatcher, which removes it: whose objects go, and its rows at last."""

from uuid import UUID

from sqlalchemy import delete, func, select
from sqlmodel import col

from storage.database import Database
from storage.tables import RUNNING, IdempotentSubmit, Job, Outbox, Slot, Upload


def was_at_work(database: Database, job_id: UUID) -> bool:
    """Whether an attempt was at work when its job was deleted."""
    with database.read() as session:
        job = session.get(Job, job_id)
    return job is not None and job.state == RUNNING


def owners_of(database: Database, job_id: UUID) -> list[UUID]:
    """Whose objects all go with a deleted job: its own, and, of a try at a better result for a job that is gone too, that job's, since
    the try may have stored something there last.
    """
    with database.read() as session:
        job = session.get(Job, job_id)
        if job is None or job.reprocess_of is None:
            return [job_id]
        parent = session.get(Job, job.reprocess_of)
    return [job_id] if parent is not None and parent.deleted_at is None else [job_id, job.reprocess_of]


def orphaned_upload(database: Database, job_id: UUID) -> str | None:
    """The upload of a deleted job when no other job reads it."""
    with database.read() as session:
        job = session.get(Job, job_id)
        if job is None:
            return None
        others = select(func.count()).select_from(Job)
        others = others.where(col(Job.blob_name) == job.blob_name, col(Job.id) != job_id, col(Job.deleted_at).is_(None))
        return None if session.execute(others).scalar_one() else job.blob_name


def forget_job(database: Database, entry: Outbox) -> None:
    """Removes the rows of a deleted job at last, and of its upload when no other job reads it."""
    orphan = orphaned_upload(database, entry.job_id)
    with database.write() as session:
        if orphan is not None:
            session.execute(delete(Upload).where(col(Upload.blob_name) == orphan))
        session.execute(delete(Slot).where(col(Slot.job_id) == entry.job_id))
        session.execute(delete(IdempotentSubmit).where(col(IdempotentSubmit.job_id) == entry.job_id))
        session.execute(delete(Job).where(col(Job.id) == entry.job_id))
        session.execute(delete(Outbox).where(col(Outbox.job_id) == entry.job_id))
