"""The parts of a round of housekeeping, by name, as plain functions: the flow makes a Prefect task of each, the command calls them itself.

Each may be interrupted and repeated, and fails alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from storage import actions, garbage, housekeeping, retention, tally, webhooks
from storage.database import Database
from storage.measures import COLLECTED
from storage.objects import ObjectStore
from storage.removed import Removed
from storage.settings import Settings
from storage.tables import now
from tasks.service import scratch

MIN_AGE = timedelta(hours=1)
UPLOAD_GRACE = timedelta(hours=6)  # after the URL has expired: a slow upload may still be coming in
UNFINISHED = timedelta(days=1)
KEEP_ANSWERS = timedelta(days=2)
KEEP_ACTIONS = timedelta(days=30)
KEEP_DELIVERIES = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a round works on.

    Attributes:
        dry_run: removes nothing, and counts what would go.
        min_age: objects that were written later stay.
    """

    database: Database
    objects: ObjectStore
    settings: Settings
    dry_run: bool = False
    min_age: timedelta = MIN_AGE


@dataclass(frozen=True, kw_only=True)
class Cleared:
    """What a part removed, or would remove.

    Attributes:
        part: for people.
    """

    part: str
    removed: tuple[Removed, ...]


Part = Callable[[Round], list[Cleared]]


def never_submitted(this: Round) -> list[Cleared]:
    """Uploads that were never submitted."""
    grace = UPLOAD_GRACE if this.min_age >= MIN_AGE else this.min_age
    found = garbage.uploads(this.database, this.objects, min_age=this.min_age, grace=grace, dry_run=this.dry_run)
    return [_objects(this, "uploads never submitted", found)]


def without_rows(this: Round) -> list[Cleared]:
    """Objects of jobs: those without a row, and those that no row names."""
    strangers, leftovers = garbage.of_jobs(this.database, this.objects, min_age=this.min_age, dry_run=this.dry_run)
    return [_objects(this, "objects of no job", strangers), _objects(this, "objects that no job names", leftovers)]


def unfinished(this: Round) -> list[Cleared]:
    """What writes left that were begun and never ended: a day ago, whatever the round's `min_age`, as no row tells who writes."""
    found = garbage.unfinished(this.objects, older_than=UNFINISHED, dry_run=this.dry_run)
    return [_objects(this, "writes that never ended", found)]


def kept_long_enough(this: Round) -> list[Cleared]:
    """What the settings keep for a time only."""
    found = retention.apply(this.database, this.objects, this.settings, now=now(), dry_run=this.dry_run)
    return [_objects(this, "kept for long enough", found)]


def work_folders(this: Round) -> list[Cleared]:
    """Work folders of this machine that no job needs."""
    count, size = scratch.sweep(this.settings.work_folder, this.database, dry_run=this.dry_run)
    return [_objects(this, "work folders of this machine", _some("work", count, size))]


def old_rows(this: Round) -> list[Cleared]:
    """Answers to repeated submits, deliveries of webhooks, and the log of what the dispatcher did."""
    database, dry_run = this.database, this.dry_run
    answers = housekeeping.forget_answers(database, older_than=KEEP_ANSWERS, dry_run=dry_run)
    deliveries = (
        housekeeping.old_deliveries(database, older_than=KEEP_DELIVERIES)
        if dry_run
        else webhooks.forget_old(database, KEEP_DELIVERIES)
    )
    done = actions.forget_old(database, older_than=KEEP_ACTIONS, dry_run=dry_run)
    rows = [*_some("answers", answers), *_some("deliveries", deliveries), *_some("actions", done)]
    return [Cleared(part="old rows", removed=tuple(rows))]


def past_runs(this: Round) -> list[Cleared]:
    """Runs at Prefect of jobs that are gone, and old ones of housekeeping."""
    from flows import past_runs as runs  # Prefect takes a second to import

    return [Cleared(part="runs at Prefect", removed=tuple(runs.clear(this.database, dry_run=this.dry_run)))]


PARTS: dict[str, Part] = {
    "uploads": never_submitted,
    "retention": kept_long_enough,
    "objects": without_rows,
    "unfinished writes": unfinished,
    "work folders": work_folders,
    "rows": old_rows,
    "runs": past_runs,
}


def _objects(this: Round, part: str, removed: list[Removed]) -> Cleared:
    """Counts the bytes for `/metrics`, too."""
    changes = [COLLECTED.by(one.bytes, **{"class": one.kind}) for one in removed if one.bytes]
    if changes and not this.dry_run:
        with this.database.write() as session:
            tally.add(session, *changes)
    return Cleared(part=part, removed=tuple(removed))


def _some(kind: str, count: int, size: int = 0) -> list[Removed]:
    return [Removed(kind=kind, objects=count, bytes=size)] if count else []
