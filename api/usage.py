"""What an account uses."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import col

from storage import quotas
from storage.database import Database
from storage.tables import Account, Job


def account_name(database: Database, account_id: UUID) -> str:
    """The account's name."""
    with database.read() as session:
        return session.connection().execute(select(col(Account.name)).where(col(Account.id) == account_id)).scalar_one()


def usage(database: Database, account_id: UUID, standing: Mapping[str, quotas.Quota]) -> dict[str, int | float]:
    """How many jobs there are, the bytes of their uploads and outputs, and the seconds that runs took this month (UTC).

    Args:
        standing: of the account, see `storage.quotas`.
    """
    owned = (col(Job.account_id) == account_id, col(Job.deleted_at).is_(None), col(Job.reprocess_of).is_(None))
    with database.read() as session:
        return {
            "jobs": session.execute(select(func.count()).select_from(Job).where(*owned)).scalar_one(),
            "bytes": int(standing[quotas.BYTES].used),
            "processing_seconds_this_month": round(standing[quotas.HOURS].used * quotas.HOUR_SECONDS, 1),
        }
