"""Garbage collection: removes objects that nobody needs or can come to need, and counts their bytes.

What may go is decided so that whoever submits, uploads or works meanwhile loses nothing:

1. Objects are listed first and rows read afterwards. So a row that is missing was not there after the object was.
2. An object that was written less than `min_age` ago stays, whatever rows say: its row may be on its way, or its writer may be about to
   remove it itself. The clocks of this machine and of the store, or a store that gives a copy the time of its original, can make this
   useless; nothing below depends on it alone.
3. Uploads: the row goes first, in a transaction that finds again that its URL has long expired and no job reads it; then the object.
   A submit that comes before has made its own copy, and needs neither any more; one that comes after is told that there is no such
   upload; one in between is told the same by its copy, which is whole or not made.
4. Objects of a job without a row: a submit copies the upload first and writes the row then, which takes seconds. What has no row at
   the listing is looked up again `SUBMIT_SECONDS` later by this machine's own clock, and goes only when it still has none. No job comes
   back once its row is gone.
5. Outputs, previews and checkpoints that no row names: see `storage.claims.Claim.leftover`.

What is neither ours nor below a job that we know stays; the ledger names it.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

from storage import claims, housekeeping
from storage.database import Database
from storage.footprint import class_of
from storage.ledger import job_of
from storage.objects import Entry, ObjectStore
from storage.removed import Removed

SUBMIT_SECONDS = 30.0
LISTED = 5_000  # objects between two looks at the rows
MOST = 200_000  # objects of jobs without rows in one round


def uploads(
    database: Database, objects: ObjectStore, *, min_age: timedelta, grace: timedelta, dry_run: bool
) -> list[Removed]:
    """Uploads that were never submitted and whose URL expired `grace` ago, and such as have no row.

    Raises:
        DatabaseUnavailable, StoreUnavailable
    """
    listed = {entry.key: entry for entry in objects.entries("videos/")}
    limit = datetime.now(UTC) - min_age
    young = {key for key, entry in listed.items() if entry.written_at > limit}
    expired = [name for name in housekeeping.expired_uploads(database, grace=grace) if name not in young]
    if not dry_run:
        expired = housekeeping.forget_uploads(database, expired, grace=grace)
    strays = listed.keys() - young - claims.known_uploads(database, listed)
    gone = {*expired, *strays}
    if not dry_run:
        objects.delete(gone)
    return _counted(listed[key] for key in gone if key in listed)


def of_jobs(
    database: Database,
    objects: ObjectStore,
    *,
    min_age: timedelta,
    dry_run: bool,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[list[Removed], list[Removed]]:
    """Objects of jobs that have no row; and outputs, previews and checkpoints of jobs that no row names and nobody works on.

    Args:
        pause: waits for so many seconds.

    Raises:
        DatabaseUnavailable, StoreUnavailable
    """
    strangers: dict[UUID, list[Entry]] = {}
    leftovers: list[Removed] = []
    limit, known = datetime.now(UTC) - min_age, 0
    for part in _parts(objects.entries("jobs/")):
        owners = {entry.key: job_of(entry.key) for entry in part}
        found = claims.of_jobs(database, {job for job in owners.values() if job is not None})
        unused: list[Entry] = []
        for entry in part:
            owner = owners[entry.key]
            if owner is None or entry.written_at > limit:
                continue
            if (claim := found.get(owner)) is not None:
                if claim.leftover(entry.key):
                    unused.append(entry)
            elif known < MOST:
                strangers.setdefault(owner, []).append(entry)
                known += 1
        if not dry_run:
            objects.delete(entry.key for entry in unused)
        leftovers = _sum(leftovers, _counted(unused))
    return _without_rows(database, objects, strangers, dry_run=dry_run, pause=pause), leftovers


def unfinished(objects: ObjectStore, *, older_than: timedelta, dry_run: bool) -> list[Removed]:
    """What writes left that were begun so long ago and never ended.

    Raises:
        StoreUnavailable
    """
    count, size = objects.sweep(older_than=older_than, dry_run=dry_run)
    return [Removed(kind="unfinished", objects=count, bytes=size)] if count else []


def _without_rows(
    database: Database,
    objects: ObjectStore,
    strangers: dict[UUID, list[Entry]],
    *,
    dry_run: bool,
    pause: Callable[[float], None],
) -> list[Removed]:
    if strangers:
        pause(SUBMIT_SECONDS)
    gone = strangers.keys() - housekeeping.existing_jobs(database, strangers)
    entries = [entry for job_id in gone for entry in strangers[job_id]]
    if not dry_run:
        objects.delete(entry.key for entry in entries)
    return _counted(entries)


def _counted(entries: Iterable[Entry]) -> list[Removed]:
    count, size = Counter[str](), Counter[str]()
    for entry in entries:
        kind = class_of(entry.key)
        count[kind] += 1
        size[kind] += entry.bytes
    return [Removed(kind=kind, objects=count[kind], bytes=size[kind]) for kind in sorted(count)]


def _sum(first: list[Removed], second: list[Removed]) -> list[Removed]:
    together = {one.kind: one for one in first}
    for one in second:
        known = together.get(one.kind, Removed(kind=one.kind, objects=0, bytes=0))
        together[one.kind] = Removed(kind=one.kind, objects=known.objects + one.objects, bytes=known.bytes + one.bytes)
    return list(together.values())


def _parts(found: Iterable[Entry]) -> Iterator[list[Entry]]:
    rest = iter(found)
    while part := list(islice(rest, LISTED)):
        yield part
