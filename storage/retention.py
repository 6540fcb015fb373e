"""How long things are kept: what jobs have in the object store goes once it has been there for as long as the settings say.

    setting             of a job that is      what goes
    keep_uploads_days   finished              its source, and the upload that no other job has been made of
    keep_steps_days     finished              outputs of steps, checkpoints, Prefect's results
    keep_outputs_days   finished              outputs and previews; it stays finished, without files, and says `expired_at`
    keep_failed_days    failed or lost        all of these; it can't be retried any more, and says `expired_at`

Each counts from the end of the job, or of the last try at a better result for it (`storage.shadows`). A job at which anybody is at work is
left alone. Whatever dies, nothing is lost and nothing stays: objects are listed first, then one transaction that holds the row looks
whether they may go and marks it, then they go; what a crash left is found by the next round, listed and marked. Outputs and
previews go later, by an entry of the outbox that the same transaction makes: links that were given out still work.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import Session, col

from storage import naming
from storage.database import Database
from storage.footprint import CLASSES, class_of
from storage.ledger import job_of
from storage.objects import ObjectStore
from storage.removed import Removed
from storage.settings import Settings
from storage.tables import FAILED, FINISHED, LOST, OPEN_STATES, TIDY, Job, Outbox
from storage.tables import now as this_moment

Progress = Callable[[int, int, str], None]

ENDED = (FINISHED, FAILED, LOST)
UPLOAD = frozenset({"uploads", "sources"})
STEPS = frozenset({"steps", "checkpoints", "other"})  # "other" below a job's prefix: Prefect's results
OUTPUTS = frozenset({"outputs", "previews"})
EXPIRED = "expired"  # code of the warning
BULK = 500


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How long what is kept; None: for ever.

    Attributes:
        links: how long URLs of files work.
    """

    uploads: timedelta | None
    steps: timedelta | None
    outputs: timedelta | None
    failed: timedelta | None
    links: timedelta

    @classmethod
    def of(cls, settings: Settings) -> "Terms":
        """Those of the settings, where 0 is for ever."""
        days = {name: value for name, value in shown(settings).items() if value is not None}
        kept = {
            name: timedelta(days=days[f"keep_{name}_days"]) if f"keep_{name}_days" in days else None
            for name in ("uploads", "steps", "outputs", "failed")
        }
        return cls(**kept, links=timedelta(seconds=settings.download_url_seconds))

    def due(self, job: Any, last_end: datetime, now: datetime) -> frozenset[str]:
        """Which classes of objects of an ended job are to go.

        Args:
            job: its state, source_bytes and expired_at.
            last_end: of the job, or of the last try at a better result.
        """
        age = now - last_end
        if job.state != FINISHED:
            return UPLOAD | STEPS | OUTPUTS if job.expired_at is not None or _over(age, self.failed) else frozenset()
        gone = frozenset[str]()
        if job.source_bytes == 0 or _over(age, self.uploads):
            gone |= UPLOAD
        if _over(age, self.steps):
            gone |= STEPS
        if job.expired_at is None and _over(age, self.outputs):
            gone |= OUTPUTS
        return gone


def shown(settings: Settings) -> dict[str, float | None]:
    """The settings as clients are told them: days by name, None for ever."""
    names = ("keep_uploads_days", "keep_steps_days", "keep_outputs_days", "keep_failed_days")
    return {name: getattr(settings, name) or None for name in names}


def apply(
    database: Database,
    store: ObjectStore,
    settings: Settings,
    *,
    now: datetime,
    dry_run: bool,
    progress: Progress = lambda *_: None,
) -> list[Removed]:
    """One round: removes what has been kept for long enough; returns what, by class (`storage.footprint`), in order.

    Outputs and previews are counted in the round that decides on them; the dispatcher removes them once links to them have ended.

    Args:
        now: ages are counted to this moment; with a time zone.
        dry_run: removes and writes nothing; what is returned would be removed now.
        progress: told of the jobs that something is removed of; may raise to stop.

    Raises:
        DatabaseUnavailable, StoreUnavailable
    """
    terms, objects, sizes = Terms.of(settings), Counter[str](), Counter[str]()
    if terms.uploads or terms.steps or terms.outputs or terms.failed:
        due = _due(database, _there(store), terms, now)
        for number, job_id in enumerate(due):
            progress(number, len(due), f"job {job_id}")
            for kind, size in _expire(database, store, job_id, terms, now, dry_run=dry_run):
                objects[kind] += 1
                sizes[kind] += size
        progress(len(due), len(due), "done")
    return [Removed(kind=kind, objects=objects[kind], bytes=sizes[kind]) for kind in CLASSES if objects[kind]]


def _there(store: ObjectStore) -> dict[UUID, set[str]]:
    """Which classes of objects each job has."""
    there: dict[UUID, set[str]] = {}
    for key in store.keys("jobs/"):
        if (job_id := job_of(key)) is not None:
            there.setdefault(job_id, set()).add(class_of(key))
    return there


def _due(database: Database, there: dict[UUID, set[str]], terms: Terms, now: datetime) -> list[UUID]:
    """Jobs of which something is to go, as far as a look without a lock can tell."""
    found, ids = [], list(there)
    for first in range(0, len(ids), BULK):
        with database.read() as session:
            query = select(Job).where(col(Job.id).in_(ids[first : first + BULK]), *_ENDED)
            rows = session.scalars(query).all()
            ends = _ends(session, rows)
        found += [row.id for row in rows if row.id in ends and terms.due(row, ends[row.id], now) & there[row.id]]
    return found


_ENDED = (col(Job.deleted_at).is_(None), col(Job.reprocess_of).is_(None), col(Job.state).in_(ENDED))


def _ends(session: Session, jobs: Sequence[Job]) -> dict[UUID, datetime]:
    """When the jobs, and tries for them, ended last; those at which a try is at work are left out."""
    ends = {job.id: _end(job) for job in jobs if job.reprocessing is None}
    tries = select(Job).where(col(Job.reprocess_of).in_(list(ends)), col(Job.deleted_at).is_(None))
    for shadow in session.scalars(tries):
        assert shadow.reprocess_of is not None
        if shadow.state in OPEN_STATES:
            ends.pop(shadow.reprocess_of, None)
        elif shadow.reprocess_of in ends:
            ends[shadow.reprocess_of] = max(ends[shadow.reprocess_of], _end(shadow))
    return ends


def _end(job: Job) -> datetime:
    return job.finished_at or job.queued_at or job.created_at


def _expire(
    database: Database, store: ObjectStore, job_id: UUID, terms: Terms, now: datetime, *, dry_run: bool
) -> list[tuple[str, int]]:
    """What goes of a job, as classes and bytes."""
    listed = list(store.sizes(naming.job_prefix(job_id)))  # before the row is read, see `storage.shadows.in_use`
    with database.read() if dry_run else database.write() as session:
        query = select(Job).where(col(Job.id) == job_id, *_ENDED)
        job = session.scalars(query if dry_run else query.with_for_update()).first()
        ends = {} if job is None else _ends(session, [job])
        if job is None or job.id not in ends:
            return []
        due = terms.due(job, ends[job.id], now)
        upload = job.blob_name if "uploads" in due and not _wanted(session, job) else None
        later = OUTPUTS & due if job.expired_at is None else frozenset[str]()
        if not dry_run:
            _mark(session, job, due, terms)
    counted = [(class_of(key), size) for key, size in listed if class_of(key) in due - OUTPUTS | later]
    info = None if upload is None else store.stat(upload)
    if info is not None:
        counted.append(("uploads", info.bytes))
    if not dry_run:
        # The upload first: while the source is there the next round finds this job.
        store.delete([] if info is None or upload is None else [upload])
        store.delete(key for key, _ in listed if class_of(key) in due - OUTPUTS)
    return counted


def _wanted(session: Session, job: Job) -> bool:
    """Whether another job is made of the same upload and still has its own copy."""
    others = select(func.count()).where(
        col(Job.blob_name) == job.blob_name,
        col(Job.id) != job.id,
        col(Job.deleted_at).is_(None),
        col(Job.reprocess_of).is_(None),
        col(Job.source_bytes) > 0,
    )
    return session.execute(others).scalar_one() > 0


def _mark(session: Session, job: Job, due: Iterable[str], terms: Terms) -> None:
    """Within a transaction that holds the job: its row says what is gone from now on."""
    if "sources" in due and job.source_bytes > 0:
        job.source_bytes = 0
        job.revision += 1
    if "outputs" in due and job.expired_at is None:
        moment = this_moment()
        job.expired_at, job.files, job.preview_key = moment, {}, None
        job.warnings = [*job.warnings, {"code": EXPIRED, "message": _sentence(job, terms)}]
        gone_at = moment + terms.links  # asked for no sooner: it is nothing that the dispatcher is late with
        session.add(Outbox(kind=TIDY, job_id=job.id, created_at=gone_at, due_at=gone_at))
        job.revision += 1
    session.add(job)


def _sentence(job: Job, terms: Terms) -> str:
    if job.state == FINISHED:
        return f"The files of this scene were kept for {_days(terms.outputs)}, as all are here, and have been removed."
    return (
        f"What this job left was kept for {_days(terms.failed)} after it had failed, and has been removed; "
        "upload the video again to try once more."
    )


def _days(kept: timedelta | None) -> str:
    days = 0.0 if kept is None else kept / timedelta(days=1)
    return "1 day" if days == 1 else f"{days:g} days"


def _over(age: timedelta, kept: timedelta | None) -> bool:
    return kept is not None and age >= kept
