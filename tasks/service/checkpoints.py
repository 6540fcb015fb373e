"""Checkpoints of a half-made step in the object store, so that another host goes on from them when this one is lost.

A step writes its checkpoint whole or not at all (see `tasks.train.checkpoint`). Here a thread links the newest one under another
name, so that the step may go on replacing it, and stores it under a key with its SHA-256. An upload first leaves at most one older
checkpoint, and removes that one afterwards: a job never has more than two.
"""

import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from storage import naming
from storage.attempts import Attempt, AttemptLost
from storage.objects import ObjectMissing, ObjectStore
from tasks.errors import SplatflowError, TransientError
from tasks.process import digest
from tasks.service import work

POLL_SECONDS = 1.0
AGAIN_SECONDS = 15.0  # after an upload that failed: a store that was away must not cost a whole period
LEAVE_SECONDS = 5.0  # for an upload that is on its way when the step ends


@dataclass(kw_only=True)
class Checkpoints:
    """The checkpoints of one output of a job.

    Attributes:
        job_id: whose prefix they are under.
        digest: of the output.
        seconds: between two uploads.
    """

    objects: ObjectStore
    attempt: Attempt
    job_id: UUID
    digest: str
    seconds: float
    log: logging.Logger | logging.LoggerAdapter[Any]
    _ended: threading.Event = field(default_factory=threading.Event)
    _useless: bool = False

    def stored(self) -> list[str]:
        """Keys of those in the store: of this output, the newest first, then what outputs begun under other options have left.

        Raises:
            StoreUnavailable
        """
        here, others = list[tuple[tuple[int, int, str], str]](), list[str]()
        for key in self.objects.keys(naming.checkpoint_prefix(self.job_id)):
            found = self._of(key)
            if found is None:
                others.append(key)
            else:
                here.append((found, key))
        return [*(key for _, key in sorted(here, reverse=True)), *others]

    def fetch(self, path: Path, *, after: int) -> int | None:
        """Writes the newest whole one of a later attempt than `after` to `path`; returns its attempt, None when there is none.

        Raises:
            StoreUnavailable, DiskFull
        """
        for key in self.stored():
            attempt, _, sha256 = self._of(key) or (0, 0, "")
            if attempt <= after:
                return None
            try:
                self.objects.get_file(key, path)
            except ObjectMissing:
                continue
            if digest.of_file(path) == sha256:
                return attempt
            self.log.warning("The checkpoint of attempt %d in the store is damaged.", attempt)
            path.unlink()
        return None

    def forget(self) -> None:
        """Removes them all: the output is in the store.

        Raises:
            StoreUnavailable
        """
        self._useless = True  # also what is on its way now
        self.objects.delete(self.stored())

    @contextmanager
    def kept(self, part: Path) -> Iterator[None]:
        """While the block lasts, stores the checkpoint of the half-made output `part` every so often. Never raises."""
        self._ended.clear()
        thread = threading.Thread(target=self._run, args=(part,), name="checkpoints", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(timeout=LEAVE_SECONDS)

    def _of(self, key: str) -> tuple[int, int, str] | None:
        """Attempt, number and SHA-256 of a checkpoint of this output."""
        own = key.startswith(naming.checkpoint_prefix(self.job_id, self.digest))
        return naming.checkpoint_of(key) if own else None

    def _run(self, part: Path) -> None:
        sent, due = 0, time.monotonic() + self.seconds
        while not self._ended.wait(min(POLL_SECONDS, self.seconds)):
            written = _written(part / work.CHECKPOINT)
            if time.monotonic() < due or written in (0, sent):
                continue
            try:
                self._send(part)
                sent, due = written, time.monotonic() + self.seconds
            except AttemptLost:
                return
            except Exception as error:  # whatever it is, the step need not stop for that
                told = str(error) if isinstance(error, SplatflowError) else type(error).__name__
                self.log.warning("A checkpoint was not stored, the next one will be: %s", told)
                due = time.monotonic() + min(AGAIN_SECONDS, self.seconds)

    def _send(self, part: Path) -> None:
        begun = time.monotonic()
        copy = part.with_name(f"{part.name}.sent")
        try:
            _link(part / work.CHECKPOINT, copy)
            number, older = 1, self.stored()
            if older and (newest := self._of(older[0])) and newest[0] == self.attempt.number:
                number = newest[1] + 1
            key = naming.checkpoint_key(self.job_id, self.digest, self.attempt.number, number, digest.of_file(copy))
            self.attempt.beat()
            self.objects.delete(older[1:])
            del older[1:]
            self.objects.put_file(key, copy)
            try:
                self.attempt.beat()
            except AttemptLost:
                self.objects.delete([key])
                raise
            self.objects.delete([key] if self._useless else older)
            size = copy.stat().st_size
            self.log.info("A checkpoint of %.1f MB is in the store, %.1f s.", size / 1e6, time.monotonic() - begun)
        finally:
            copy.unlink(missing_ok=True)


def begin(folder: Path, checkpoints: Checkpoints) -> Path:
    """Where an attempt makes the output `folder`: with the newest checkpoint, of this machine or from the store.

    A store that can't be asked is a warning: the step goes on from what is here.

    Raises:
        DiskFull
    """
    number, fetched = (
        checkpoints.attempt.number,
        folder.with_name(f"{folder.name}.{checkpoints.attempt.number}.fetched"),
    )
    found = None
    try:
        found = checkpoints.fetch(fetched, after=work.checkpoint_here(folder))
    except TransientError as error:
        checkpoints.log.warning("No checkpoint could be asked for: %s", error)
    part = work.half_made(folder, number)
    if found is not None:
        part.mkdir(parents=True, exist_ok=True)
        fetched.replace(part / work.CHECKPOINT)
        checkpoints.log.info("Going on from the checkpoint that attempt %d left in the store.", found)
    return part


def _written(path: Path) -> int:
    """When a file was written (ns), 0 when there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _link(path: Path, copy: Path) -> None:
    """`copy` is the file that `path` is now, whatever replaces it there later."""
    copy.unlink(missing_ok=True)
    try:
        os.link(path, copy)
    except OSError:  # not every file system has links
        shutil.copyfile(path, copy)
