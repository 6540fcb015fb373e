"""What an account uses."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlmodel import col

from storage.database import Database
from storage.tables import Account, Job, now


def account_name(database: Database, account_id: UUID) -> str:
    """The account's name."""
    with database.read() as session:
        return session.connection().execute(select(col(Account.name)).where(col(Account.id) == account_id)).scalar_one()


def usage(database: Database, account_id: UUID) -> dict[str, int | float]:
    """How many jobs there are, the bytes of their uploads and outputs, and the seconds that runs took this month (UTC)."""
    owned = (col(Job.account_id) == account_id, col(Job.deleted_at).is_(None), col(Job.reprocess_of).is_(None))
    moment = now()
    month = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    totals = select(func.count(), func.coalesce(func.sum(col(Job.source_bytes)), 0)).where(*owned)
    outputs = select(col(Job.files)).where(*owned, col(Job.finished_at).is_not(None))
    at_work = select(col(Job.started_at), col(Job.finished_at)).where(
        *owned, col(Job.started_at).is_not(None), or_(col(Job.finished_at).is_(None), col(Job.finished_at) >= month)
    )
    with database.read() as session:
        connection = session.connection()
        count, uploaded = connection.execute(totals).one()
        made = sum(file.get("bytes", 0) for (files,) in connection.execute(outputs) for file in (files or {}).values())
        runs = connection.execute(at_work).all()
    seconds = sum(within(run.started_at, run.finished_at, month, moment) for run in runs)
    return {"jobs": count, "bytes": int(uploaded) + made, "processing_seconds_this_month": round(seconds, 1)}


def within(start: datetime, end: datetime | None, month: datetime, moment: datetime) -> float:
    """Seconds of a run that lie between the month's beginning and `moment`; `end` is None while it goes on."""
    return max(0.0, (min(end or moment, moment) - max(start, month)).total_seconds())
