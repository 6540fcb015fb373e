"""What rows say of objects: which of them they name, with how many bytes, which are in use, and which belong to nothing.

Whoever decides by it lists objects first and reads rows afterwards: what is listed was there before the rows were read, so a row that
was made later can't be about it (see `leftover`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.engine import Connection
from sqlmodel import col

from storage import naming
from storage.database import Database
from storage.footprint import class_of
from storage.shadows import InUse
from storage.tables import FINISHED, OPEN_STATES, TIDY, Job, Outbox, Upload, now

BATCH = 500
RETRY_KEEPS = timedelta(days=1)  # checkpoints of a job that ended without outputs: a retry goes on from them
SAID, HELD, STRAY = "said", "held", "stray"
MADE = ("outputs", "previews", "checkpoints")
_COLUMNS = (
    col(Job.id),
    col(Job.state),
    col(Job.finished_at),
    col(Job.deleted_at),
    col(Job.expired_at),
    col(Job.reprocess_of),
    col(Job.source_key),
    col(Job.source_bytes),
    col(Job.files),
    col(Job.preview_key),
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What rows say of the objects below one job's prefix.

    Attributes:
        sized: bytes by key, where the row says how many: its source and its files.
        preview: key of the preview that it shows.
        leaving: the job is deleted, and the dispatcher removes all of it.
        tidied: the dispatcher is to remove what no row names, once links that were given out have ended.
        rests: it failed so long ago that a retry need not find its checkpoints.
    """

    sized: Mapping[str, int] = field(default_factory=dict)
    preview: str | None = None
    use: InUse
    leaving: bool = False
    tidied: bool = False
    rests: bool = False

    @property
    def named(self) -> list[str]:
        """Keys of the objects that are to be there."""
        return [] if self.leaving else [*self.sized, *([self.preview] if self.preview else [])]

    def standing(self, key: str) -> str:
        """SAID: the row says its bytes; HELD: it belongs to the job, or somebody is at work on it; STRAY: nobody names it."""
        if self.leaving:
            return HELD
        if key in self.sized:
            return SAID
        kind = class_of(key)
        if kind == "other":
            return HELD if key.split("/")[2] == "results" else STRAY
        if kind not in MADE:
            return HELD if kind == "steps" else STRAY
        if kind == "checkpoints" and self.rests and not self.use.marks:
            return STRAY
        return HELD if self.tidied or key == self.preview or self.use.holds(key) else STRAY

    def leftover(self, key: str) -> bool:
        """Whether an output, preview or checkpoint that was listed before the rows were read can go.

        Nobody can come to need it: a finished job is never run again, so that nothing but a try could name other objects; a try that
        has one of the listed objects had its row before the listing, so that it was seen, and an open one holds all of its own; one
        that has ended never goes on, and named in the transaction of its end what it leaves. What was replaced is `tidied` by an entry
        of the same transaction for as long as links live. A failed job may be retried at any moment, so only its checkpoints go, and
        a training finds a missing checkpoint to be none.
        """
        return class_of(key) in MADE and self.standing(key) == STRAY


def of_jobs(database: Database, job_ids: Iterable[UUID]) -> dict[UUID, Claim]:
    """What rows say of these jobs' objects; a job without a row is missing in it.

    Raises:
        DatabaseUnavailable
    """
    wanted, found = list(job_ids), dict[UUID, Claim]()
    for first in range(0, len(wanted), BATCH):
        part = wanted[first : first + BATCH]
        with database.connection() as connection:
            rows = connection.execute(select(*_COLUMNS).where(col(Job.id).in_(part))).all()
            # After the jobs: an entry that is gone by now has been carried out.
            found |= _claims(connection, rows)
    return found


def of_all(database: Database, after: UUID | None) -> dict[UUID, Claim]:
    """The same of the next `BATCH` jobs by id, tries left out, for whoever looks through them all."""
    query = select(*_COLUMNS).where(col(Job.deleted_at).is_(None), col(Job.reprocess_of).is_(None))
    if after is not None:
        query = query.where(col(Job.id) > after)
    with database.connection() as connection:
        return _claims(connection, connection.execute(query.order_by(col(Job.id)).limit(BATCH)).all())


def known_uploads(database: Database, names: Iterable[str]) -> set[str]:
    """Those of these uploads that have a row."""
    wanted, found = list(names), set[str]()
    for first in range(0, len(wanted), BATCH):
        with database.connection() as connection:
            query = select(col(Upload.blob_name)).where(col(Upload.blob_name).in_(wanted[first : first + BATCH]))
            found.update(connection.scalars(query))
    return found


def _claims(connection: Connection, rows: Iterable[Row]) -> dict[UUID, Claim]:
    rows = list(rows)
    ids = [row.id for row in rows]
    tries = select(col(Job.id), col(Job.reprocess_of)).where(
        col(Job.reprocess_of).in_(ids), col(Job.state).in_(OPEN_STATES), col(Job.deleted_at).is_(None)
    )
    marks: dict[UUID, list[str]] = {}
    for shadow_id, parent_id in connection.execute(tries):
        marks.setdefault(parent_id, []).append(naming.shadow_mark(shadow_id))
    entries = select(col(Outbox.job_id)).where(col(Outbox.job_id).in_(ids), col(Outbox.kind) == TIDY)
    tidied = set(connection.scalars(entries))
    return {row.id: _claim(row, tuple(marks.get(row.id, ())), row.id in tidied) for row in rows}


def _claim(row: Row, marks: tuple[str, ...], tidied: bool) -> Claim:
    if row.reprocess_of is not None:  # its objects are with the job that it is for
        return Claim(use=InUse(keys=frozenset(), marks=(), own=False), leaving=row.deleted_at is not None)
    sized = {file["key"]: int(file["bytes"]) for file in row.files.values()}
    if row.source_bytes > 0:  # 0: it was kept for long enough
        sized[row.source_key] = row.source_bytes
    ended_long_ago = row.finished_at is not None and row.finished_at < now() - RETRY_KEEPS
    return Claim(
        sized=sized,
        preview=row.preview_key,
        use=InUse(keys=frozenset(sized), marks=marks, own=row.state != FINISHED and row.expired_at is None),
        leaving=row.deleted_at is not None,
        tidied=tidied,
        rests=row.state not in OPEN_STATES and ended_long_ago,
    )
