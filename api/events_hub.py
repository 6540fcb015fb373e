"""Tells waiting requests that a job has changed. One query per half second for all of them, none while nobody waits."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from storage import jobs
from storage.database import Database
from tasks.errors import TransientError

POLL_SECONDS = 0.5
BATCH = 500
GONE = -1
log = logging.getLogger("splatflow.api")


class Watcher:
    """One waiting request."""

    def __init__(self, job_id: UUID) -> None:
        self.job_id = job_id
        self.revision: int | None = None  # that it was told of last
        self.changed = asyncio.Event()

    async def wait(self, seconds: float) -> bool:
        """Waits until there is something new, at most so long; returns whether there is."""
        try:
            await asyncio.wait_for(self.changed.wait(), seconds)
        except TimeoutError:
            return False
        self.changed.clear()
        return True


class EventsHub:
    """The watchers of one process. To be used from its event loop only.

    Args:
        on_count: is told how many watchers there are.
    """

    def __init__(self, database: Database, *, on_count: Callable[[int], None] = lambda _: None) -> None:
        self.closing = False
        self._database = database
        self._on_count = on_count
        self._watchers: set[Watcher] = set()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def watch(self, job_id: UUID) -> Iterator[Watcher]:
        """A watcher of a job for the length of the block."""
        watcher = Watcher(job_id)
        self._watchers.add(watcher)
        self._on_count(len(self._watchers))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            self._on_count(len(self._watchers))

    def close(self) -> None:
        """Wakes all watchers for the last time: the process is about to end."""
        self.closing = True
        for watcher in self._watchers:
            watcher.changed.set()

    async def _poll(self) -> None:
        while self._watchers and not self.closing:
            await asyncio.sleep(POLL_SECONDS)
            ids = list({watcher.job_id for watcher in self._watchers})
            try:
                revisions = await asyncio.to_thread(self._revisions, ids)
            except TransientError as error:
                log.warning("events are late: %s", error)
                continue
            for watcher in self._watchers:
                if watcher.job_id in ids and revisions.get(watcher.job_id, GONE) != watcher.revision:
                    watcher.changed.set()

    def _revisions(self, ids: list[UUID]) -> dict[UUID, int]:
        found: dict[UUID, int] = {}
        for start in range(0, len(ids), BATCH):
            found |= jobs.revisions(self._database, ids[start : start + BATCH])
        return found
