"""Tries at a better result for a job: a row beside the job's own, which clients never see (`Job.reprocess_of`).

The try is an ordinary job to whoever carries it out. Its objects lie below the job's prefix under names of their own, and it finds the
job's finished steps. At its end one transaction decides which result the job has from then on. The other one's files go later:
by an entry of the outbox that the same transaction makes, so that a crash in between leaves nothing behind, and late enough that
links that were given out still work.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlmodel import Session, col

from storage import naming, quotas, verdict, webhooks
from storage.database import Database
from storage.objects import ObjectStore
from storage.tables import (
    DELETE,
    FINISHED,
    OPEN_STATES,
    START,
    TIDY,
    Batch,
    BatchItem,
    Job,
    Outbox,
    now,
)

WAITING, AT_WORK, REPLACED, KEPT, FAILED_ITEM, SKIPPED = "waiting", "running", "replaced", "kept", "failed", "skipped"
ITEM_STATES = (WAITING, AT_WORK, REPLACED, KEPT, FAILED_ITEM, SKIPPED)
OPTIONS = (  # what a try may have otherwise than its job
    "reconstruction_method",
    "training_max_num_gaussians",
    "training_num_steps",
    "apriltag_size_mm",
    "remove_background",
    "mesh",
    "turntable",
    "max_frames",
    "train_side_px",
)
RESULT = (*OPTIONS, "fitted", "files", "quality", "scale", "camera_computed", "preview_key", "step_seconds")
LINKS_LIVE = timedelta(minutes=15)  # what was given out a moment before still leads somewhere
SETTLE = timedelta(seconds=15)  # an attempt that was shut out may be in the middle of storing a file
CAMERA_MESSAGE = "The camera that was set belonged to the result before, whose place or size was another; set it again."


def new_in(session: Session, parent: Job, item: BatchItem, spec: Mapping[str, Any]) -> Job:
    """Within a transaction that holds the job and the item: makes a try and the wish to start it.

    Ended tries of the job go with their runs, so that there is at most one at any time.
    """
    remove_in(session, parent.id)
    options = {name: getattr(parent, name) for name in OPTIONS} | dict(spec["set"])
    shadow = Job(
        account_id=parent.account_id,
        title=parent.title,
        blob_name=parent.blob_name,
        source_key=parent.source_key,
        source_bytes=parent.source_bytes,
        camera_type=parent.camera_type,
        priority=spec["priority"],
        reprocess_of=parent.id,
        batch_id=item.batch_id,
        **options,
    )
    session.add(shadow)
    session.flush()
    session.add(Outbox(kind=START, job_id=shadow.id, attempt=shadow.attempt))
    parent.reprocessing = shown(shadow)
    parent.revision += 1
    item.state, item.shadow_id, item.before = AT_WORK, shadow.id, figures_of(parent)
    session.add_all([parent, item])
    return shadow


def shown(shadow: Job) -> dict[str, Any]:
    """What clients are told in the job's detail."""
    began = shadow.started_at
    return {
        "batch_id": str(shadow.batch_id),
        "state": "running" if shadow.state not in OPEN_STATES or began is not None else "queued",
        "percent": shadow.percent,
        "started_at": None if began is None else f"{began:%Y-%m-%dT%H:%M:%SZ}",
    }


def figures_of(job: Job) -> dict[str, Any] | None:
    """What a result is compared by, with the options that it was made by; None without a result."""
    if job.state != FINISHED or job.expired_at is not None:
        return None
    figures = verdict.figures(job.quality, masked=job.remove_background)
    return {**figures, "options": {name: getattr(job, name) for name in OPTIONS}}


def locked_parent_in(session: Session, job_id: UUID) -> Job | None:
    """Within a transaction, before the try itself is locked: the job that it is a try for; None for an ordinary job.

    In this order everywhere, so that no two transactions wait for each other.
    """
    parent_id = session.scalars(select(col(Job.reprocess_of)).where(col(Job.id) == job_id)).first()
    if parent_id is None:
        return None
    return session.scalars(select(Job).where(col(Job.id) == parent_id).with_for_update()).first()


def decide_in(session: Session, shadow: Job, parent: Job) -> None:
    """Within the transaction in which a try ends with files: decides which result the job has from now on."""
    key = (shadow.batch_id, parent.id)
    batch, item = session.get(Batch, shadow.batch_id), session.get(BatchItem, key, with_for_update=True)
    after = figures_of(shadow)
    if parent.state in OPEN_STATES:
        ruling = verdict.Verdict(replace=False, reason="The job was run again meanwhile.")
    elif (
        batch is None
        or batch.state != "running"
        or item is None
        or item.shadow_id != shadow.id
        or item.state != AT_WORK
        or after is None
    ):
        ruling = verdict.Verdict(replace=False, reason="The batch does not want it any more.")
    else:
        rule, epsilon_db = batch.spec["rule"], batch.spec["epsilon_db"]
        ruling = verdict.judge(rule, epsilon_db, figures_of(parent), after)
        item.before, item.after, item.reason = figures_of(parent), after, ruling.reason
        item.state = REPLACED if ruling.replace else KEPT
        session.add(item)
    if ruling.replace:
        had_result = parent.state == FINISHED
        _replace(shadow, parent)
        if not had_result:
            webhooks.announce(session, parent)
    shadow.files, shadow.preview_key = {}, None  # they are the job's now, or nobody's
    session.add(shadow)
    release_in(session, parent, shadow.batch_id, after=LINKS_LIVE if ruling.replace else timedelta(0))


def release_in(session: Session, parent: Job, batch_id: UUID | None, *, after: timedelta = SETTLE) -> None:
    """Within a transaction that holds the job: no try is at work any more; what none names goes after a while."""
    if parent.reprocessing is not None and parent.reprocessing["batch_id"] == str(batch_id):
        parent.reprocessing = None
    parent.revision += 1
    session.add(parent)
    due = now() + after  # and no sooner asked for: it is nothing that the dispatcher is late with
    session.add(Outbox(kind=TIDY, job_id=parent.id, created_at=due, due_at=due))


def _replace(shadow: Job, parent: Job) -> None:
    same_place = _placed(shadow) == _placed(parent)
    for name in RESULT:
        setattr(parent, name, getattr(shadow, name))
    asked = [warning for warning in parent.warnings if warning.get("code") != "pipeline"]
    parent.warnings = [*asked, *shadow.warnings]
    if parent.camera_set is not None and not same_place:
        parent.camera_set = None
        parent.warnings = [*parent.warnings, {"code": "camera_reset", "message": CAMERA_MESSAGE}]
    parent.expired_at = None
    if parent.state != FINISHED:
        parent.state, parent.percent, parent.step, parent.finished_at = FINISHED, 100, None, shadow.finished_at
        parent.started_at = parent.started_at or shadow.started_at
        parent.error_code, parent.error_message = None, None


def _placed(job: Job) -> tuple[Any, ...]:
    """What decides where things are in a result's frame. Results of older versions don't say by which cameras they were made."""
    cameras = (job.quality or {}).get("posed_by")
    made = cameras or (job.reconstruction_method, job.max_frames, job.remove_background)
    return made, (job.scale or {}).get("metres_per_unit")


def remove_in(session: Session, parent_id: UUID) -> None:
    """Within a transaction that holds the job: its tries can write no more, and all that they left is to be removed."""
    found = select(Job).where(col(Job.reprocess_of) == parent_id, col(Job.deleted_at).is_(None))
    for shadow in session.scalars(found.with_for_update()).all():
        quotas.spend_in(session, shadow.account_id, shadow.started_at, shadow.finished_at)
        shadow.deleted_at, shadow.lease_token = now(), None
        session.add(shadow)
        session.execute(delete(Outbox).where(col(Outbox.job_id) == shadow.id))
        session.add(Outbox(kind=DELETE, job_id=shadow.id))


@dataclass(frozen=True, kw_only=True)
class InUse:
    """Which outputs, previews and checkpoints of a job are not to be removed.

    Attributes:
        keys: that its row names.
        marks: what the attempts' names begin with of tries that are at work.
        own: whether an attempt at the job itself may be at work, or be followed by another; never after the job has expired.
    """

    keys: frozenset[str]
    marks: tuple[str, ...]
    own: bool

    def holds(self, key: str) -> bool:
        """Whether this object is in use; `key` is below "outputs/", "previews/" or "checkpoints/" of the job."""
        _, _, kind, name, *_ = key.split("/")
        if kind == "checkpoints":  # named by what they are of: whoever is at work may go on from them
            return self.own or bool(self.marks)
        return key in self.keys or any(map(name.startswith, self.marks)) or (self.own and not name.startswith("r"))


def in_use(database: Database, job_id: UUID) -> InUse | None:
    """What of a job is in use now; None when the job is deleted. Objects are to be listed before it is asked, never after: a try
    that begins in between would lose what it has stored by then.
    """
    with database.read() as session:
        job = session.scalars(select(Job).where(col(Job.id) == job_id, col(Job.deleted_at).is_(None))).first()
        if job is None:
            return None
        open_tries = select(col(Job.id)).where(
            col(Job.reprocess_of) == job_id, col(Job.state).in_(OPEN_STATES), col(Job.deleted_at).is_(None)
        )
        marks = tuple(naming.shadow_mark(shadow_id) for shadow_id in session.scalars(open_tries))
    named = {file["key"] for file in job.files.values()} | ({job.preview_key} if job.preview_key else set())
    return InUse(keys=frozenset(named), marks=marks, own=job.state != FINISHED and job.expired_at is None)


def tidy(database: Database, objects: ObjectStore, job_id: UUID) -> int:
    """Removes the outputs, previews and checkpoints of a job that nobody names or still writes; returns how many.

    Raises:
        DatabaseUnavailable, StoreUnavailable
    """
    prefix = naming.job_prefix(job_id)
    made = [key for kind in ("outputs", "previews", "checkpoints") for key in objects.keys(f"{prefix}{kind}/")]
    use = in_use(database, job_id)
    unused = [] if use is None else [key for key in made if not use.holds(key)]
    objects.delete(unused)
    return len(unused)
