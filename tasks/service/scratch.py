"""This host's scratch space: a work folder per job, in use while a process holds its lock, and bounded.

A lock is the system's own (flock), so it ends with its process however that ends. What no process holds is removed: when its job
needs it no more, at the start of a worker and of each run; and when room is short, whatever it is, since finished steps and
checkpoints are in the object store too.
"""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from storage import housekeeping
from storage.database import Database
from tasks.errors import DiskFull

LOCK = ".lock"
KEEP = timedelta(days=1)  # of jobs that ended without outputs: a retry goes on from it
RESERVE_BYTES = 256 << 20
Log = logging.Logger | logging.LoggerAdapter[Any]


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Makes a job's work folder and marks it as in use; several attempts may hold it at once."""
    descriptor = _hold(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def sweep(root: Path, database: Database, *, keep: timedelta = KEEP, dry_run: bool = False) -> tuple[int, int]:
    """Removes the work folders of jobs that are gone, or ended `keep` ago, and that nobody holds; returns how many, and their bytes.

    Args:
        dry_run: only counts.

    Raises:
        DatabaseUnavailable
    """
    found = folders(root)
    needed = housekeeping.jobs_in_need(database, found, ended_within=keep)
    return _remove([path for job, path in found.items() if job not in needed], dry_run=dry_run)


def make_room(root: Path, needed_bytes: int, step: str, log: Log) -> None:
    """Looks for room for a step before it begins; removes what nobody holds when there is too little.

    Raises:
        DiskFull: there still is.
    """
    wanted = needed_bytes + RESERVE_BYTES
    if (free := _free(root)) >= wanted:
        return
    count, size = _remove(list(folders(root).values()))
    if count:
        log.warning("Room was short: %d work folder(s) that no run holds were removed, %.1f GB.", count, size / 1e9)
        free = _free(root)
    if free < wanted:
        raise DiskFull(
            f"The step {step} may write {needed_bytes / 1e9:.1f} GB into {root} and there are {free / 1e9:.1f} GB free; "
            "free some space, or set SPLATFLOW_SCRATCH to a larger disk."
        )


def folders(root: Path) -> dict[UUID, Path]:
    """The work folders of this host, by job."""
    found: dict[UUID, Path] = {}
    for path in root.iterdir() if root.is_dir() else ():
        with suppress(ValueError):
            found[UUID(path.name)] = path
    return found


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder that others may be changing."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _remove(paths: list[Path], *, dry_run: bool = False) -> tuple[int, int]:
    count = size = 0
    for path in paths:
        with _alone(path) as alone:
            if alone:
                size += size_of(path)
                if not dry_run:
                    shutil.rmtree(path, ignore_errors=True)
                count += 1
    return count, size


def _hold(folder: Path) -> int:
    """Descriptor of the shared lock on the folder's lock file, which is there when this returns."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # removed in between
            continue
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        with suppress(FileNotFoundError):
            if (folder / LOCK).stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        os.close(descriptor)  # a lock on a file that somebody removed keeps nobody out


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether nobody holds the folder; then nobody can before the block ends."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR)
    except OSError:  # an older version's, or half removed
        yield folder.is_dir()
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _free(root: Path) -> int:
    folder = next(path for path in (root, *root.parents) if path.is_dir())
    return shutil.disk_usage(folder).free
