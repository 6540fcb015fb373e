"""Carries batches out: begins jobs, says of those that ended what became of them, ends the batch after the last one.

Nothing is remembered between two calls, everything may be called by several at once, and locks are taken in one order everywhere:
the batch, the job, its try, the item.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from storage import batch_spec, hours, naming, shadows
from storage.batches import DONE, RUNNING, STATES, STOPPED, STOPPED_REASON, counts_in, get, open_batches, row_in
from storage.database import Database
from storage.jobs import CANCELLED, CANCELLED_MESSAGE, end_in
from storage.objects import ObjectStore
from storage.shadows import AT_WORK, FAILED_ITEM, SKIPPED, WAITING
from storage.tables import FAILED, FINISHED, LOST, OPEN_STATES, Batch, BatchItem, Job, now

BULK = 500
GONE = "The job was deleted."


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a batch is.

    Attributes:
        state: "running", "finished" or "cancelled".
        counts: of its items, by state.
        opens_at: when jobs may begin; not after now unless it is outside of its hours.
    """

    state: str
    counts: dict[str, int]
    opens_at: datetime

    @property
    def open_items(self) -> int:
        """Items that wait or are at work."""
        return self.counts[WAITING] + self.counts[AT_WORK]


def advance(database: Database, objects: ObjectStore, batch_id: UUID, *, moment: datetime | None = None) -> Progress:
    """Begins as many jobs of a batch as may be at work now, and ends the batch after its last one. Does nothing that is done
    already, whoever calls it, how often, and from how many places at once.

    Args:
        moment: now; with a time zone.

    Raises:
        BatchMissing, DatabaseUnavailable, StoreUnavailable
    """
    settle(database, batch_id)
    batch, counts = get(database, batch_id)
    moment, spec = moment or now(), batch.spec
    opens_at = hours.next_opening(spec["hours"], spec["time_zone"], moment)
    if batch.state == RUNNING and opens_at <= moment:
        free = spec["at_once"] - counts[AT_WORK]
        for job in _next(database, batch_id) if free > 0 and counts[WAITING] else ():
            missing = job.row_id is not None and source_missing(objects, spec, job)
            free -= _begin(database, batch_id, job.id, missing)
            if free <= 0:
                break
    with database.write() as session:
        batch = row_in(session, batch_id, None, lock=True)
        counts = counts_in(session, [batch_id])[batch_id]
        if batch.state == RUNNING and not counts[WAITING] + counts[AT_WORK]:
            batch.state, batch.finished_at = DONE, now()
            session.add(batch)
        return Progress(state=batch.state, counts=counts, opens_at=opens_at)


def settle(database: Database, batch_id: UUID | None = None) -> int:
    """Says of items whose try ended without files, or whose job was deleted, that they are at their end, stops what a cancelled batch
    has at work, and tells the other jobs how far their tries are; returns how many items ended.

    Args:
        batch_id: of this batch only; None: of all.
    """
    shadow, parent = aliased(Job), aliased(Job)
    query = (
        select(BatchItem, col(Batch.state), shadow, parent)
        .join(Batch, col(Batch.id) == col(BatchItem.batch_id))
        .outerjoin(shadow, col(shadow.id) == col(BatchItem.shadow_id))
        .outerjoin(parent, col(parent.id) == col(BatchItem.job_id))
        .where(col(BatchItem.state) == AT_WORK)
    )
    if batch_id is not None:
        query = query.where(col(BatchItem.batch_id) == batch_id)
    with database.read() as session:
        found = session.execute(query).all()
    ended = 0
    for item, state, tried, job in found:
        if state == STOPPED:
            ended += _end(database, item, SKIPPED, STOPPED_REASON, stop=True)
        elif _left(job):
            ended += _end(database, item, SKIPPED, GONE)
        elif tried is None or tried.deleted_at is not None:
            ended += _end(database, item, FAILED_ITEM, "The try is gone.")
        elif tried.state in (FAILED, LOST):
            ended += _end(database, item, FAILED_ITEM, tried.error_message or "Its run was lost.")
        elif job.reprocessing is not None and job.reprocessing != (told := shadows.shown(tried)):
            _tell(database, item, told)
    return ended


def unattended(database: Database, *, moment: datetime | None = None) -> list[UUID]:
    """Batches in which something could be done now: begun, or ended after the last job. While somebody advances them this lasts
    for moments.

    Args:
        moment: now; with a time zone.
    """
    found, moment = [], moment or now()
    for batch in open_batches(database):
        _, counts = get(database, batch.id)
        spec, waits, busy = batch.spec, counts[WAITING], counts[AT_WORK]
        may_begin = waits and busy < spec["at_once"] and hours.open_at(spec["hours"], spec["time_zone"], moment)
        if not (waits or busy) or (may_begin and _next(database, batch.id)):
            found.append(batch.id)
    return found


def _next(database: Database, batch_id: UUID) -> Sequence[Any]:
    """Jobs of the items that wait, but for those that another batch is at; of a deleted job only the id."""
    free = col(Job.reprocessing).is_(None) & col(Job.deleted_at).is_(None)
    columns = (
        col(BatchItem.job_id).label("id"),
        col(Job.source_key),
        col(Job.source_bytes),
        col(Job.id).label("row_id"),
    )
    query = select(*columns).outerjoin(Job, col(Job.id) == col(BatchItem.job_id))
    query = query.where(col(BatchItem.batch_id) == batch_id, col(BatchItem.state) == WAITING)
    query = query.where(free | col(Job.id).is_(None) | col(Job.deleted_at).is_not(None))
    query = query.order_by(col(Job.created_at), col(BatchItem.job_id)).limit(BULK)
    with database.connection() as connection:
        return connection.execute(query).all()


def source_missing(objects: ObjectStore, spec: dict[str, Any], job: Any) -> bool:
    """Whether a run would have nothing to begin with: neither the job's source nor frames that were extracted from it.

    Args:
        job: its id, source_key and source_bytes.
    """
    info = objects.stat(job.source_key)
    if info is not None and info.bytes == job.source_bytes:
        return False
    extracted = f"{naming.job_prefix(job.id)}steps/extract/"
    return "max_frames" in spec["set"] or next(iter(objects.keys(extracted)), None) is None


def _begin(database: Database, batch_id: UUID, job_id: UUID, missing: bool) -> int:
    """Makes the try of an item, or skips the item; returns how many are at work more than before."""
    with database.write() as session:
        batch = row_in(session, batch_id, None, lock=True)
        parent, item = _locked(session, batch_id, job_id)
        if batch.state != RUNNING or item is None or item.state != WAITING:
            return 0
        if counts_in(session, [batch_id])[batch_id][AT_WORK] >= batch.spec["at_once"]:
            return 0
        reason = unfit(batch.spec, parent, missing)
        if reason is None and parent is not None:
            if parent.reprocessing is not None:
                return 0  # another batch is at it: later
            shadows.new_in(session, parent, item, batch.spec)
            return 1
        item.state, item.reason = SKIPPED, reason
        session.add(item)
        return 0


def unfit(spec: dict[str, Any], parent: Any, missing: bool) -> str | None:
    """Why a job is not made again; None when it is.

    Args:
        parent: a job's row; None: there is none any more.
        missing: as `source_missing` says.
    """
    if parent is None or parent.deleted_at is not None:
        return GONE
    if parent.state not in STATES[spec["jobs"]["status"]]:
        return f"The job is {parent.state} now."
    if missing:
        return "Its upload and the frames of it are no longer kept."
    if parent.expired_at is not None:
        return f"Its files expired at {parent.expired_at:%Y-%m-%dT%H:%M:%SZ}."
    if parent.state == FINISHED and spec["set"] and not batch_spec.changed(spec, parent):
        return "It was made with these options already."
    return None


def _end(database: Database, seen: BatchItem, state: str, reason: str, *, stop: bool = False) -> int:
    with database.write() as session:
        parent, item = _locked(session, seen.batch_id, seen.job_id)
        if item is None or item.state != AT_WORK or item.shadow_id != seen.shadow_id:
            return 0
        item.state, item.reason = state, reason
        session.add(item)
        if parent is not None and not _left(parent):
            shadows.release_in(session, parent, item.batch_id)
        if stop:
            query = select(Job).where(col(Job.id) == item.shadow_id, col(Job.state).in_(OPEN_STATES))
            shadow = session.scalars(query.where(col(Job.deleted_at).is_(None)).with_for_update()).first()
            if shadow is not None:
                end_in(session, shadow, error_code=CANCELLED, error_message=CANCELLED_MESSAGE)
        return 1


def _tell(database: Database, item: BatchItem, told: dict[str, Any]) -> None:
    """The job says how far its try is, unless that has ended meanwhile."""
    with database.write() as session:
        parent, item_now = _locked(session, item.batch_id, item.job_id)
        if parent is None or item_now is None or item_now.state != AT_WORK or item_now.shadow_id != item.shadow_id:
            return
        parent.reprocessing = told
        parent.revision += 1
        session.add(parent)


def _locked(session: Session, batch_id: UUID, job_id: UUID) -> tuple[Job | None, BatchItem | None]:
    parent = session.scalars(select(Job).where(col(Job.id) == job_id).with_for_update()).first()
    return parent, session.get(BatchItem, (batch_id, job_id), with_for_update=True)


def _left(job: Job | None) -> bool:
    return job is None or job.deleted_at is not None
