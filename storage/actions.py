"""What the dispatcher did about jobs that did not get on by themselves: rows, written in the transaction that did it.

So the log is neither ahead of what happened nor behind it, and Prefect, which may be away just then, isn't needed. Housekeeping shows
the newest in Prefect's pages and forgets the oldest.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlmodel import Session, col

from storage.database import Database
from storage.tables import Action, Job, now

REQUEUED = "requeued"  # its attempt died; it waits for another one
GIVEN_UP = "given up"  # attempts died too often in a row
CANCELLED = "cancelled"  # its run was cancelled at Prefect
LOST = "lost"  # its run is not known at Prefect any more
ASKED_AGAIN = "asked again"  # it waited, and nothing was there that would have started it
MOVED_UP = "moved up"  # a batch job whose turn came got another run, which workers find sooner
GIVEN_BACK = "given back"  # its run was told to end, and ended in order
MOST = 10_000


def note(
    session: Session,
    job: Job,
    kind: str,
    reason: str,
    *,
    attempt: int,
    run_id: UUID | None,
    silent_seconds: float | None = None,
) -> None:
    """Within the transaction that does it.

    Args:
        attempt, run_id: that were at work or waited, before it was done.
        silent_seconds: for how long the attempt's beat had stood still, by the dispatcher's clock.
    """
    session.add(
        Action(
            job_id=job.id, attempt=attempt, run_id=run_id, kind=kind, reason=reason[:255], silent_seconds=silent_seconds
        )
    )


def newest(database: Database, *, limit: int, within: timedelta) -> Sequence[Action]:
    """The newest first."""
    query = select(Action).where(col(Action.done_at) > now() - within)
    with database.read() as session:
        return session.scalars(query.order_by(col(Action.done_at).desc(), col(Action.id).desc()).limit(limit)).all()


def of_job(database: Database, job_id: UUID) -> Sequence[Action]:
    """What was done about a job, the oldest first."""
    with database.read() as session:
        return session.scalars(select(Action).where(col(Action.job_id) == job_id).order_by(col(Action.id))).all()


def forget_old(database: Database, *, older_than: timedelta, most: int = MOST, dry_run: bool = False) -> int:
    """Forgets what was done long ago, and all but the newest `most`; returns how many."""
    with database.read() as session:
        ids = select(col(Action.id)).order_by(col(Action.id).desc()).offset(most).limit(1)
        last = session.scalars(ids).first() or 0
        gone = (col(Action.done_at) < now() - older_than) | (col(Action.id) <= last)
        count = session.execute(select(func.count()).select_from(Action).where(gone)).scalar_one()
    if count and not dry_run:
        with database.write() as session:
            session.execute(delete(Action).where(gone))
    return count
