"""What the routes work with, made once for an application."""

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from starlette.requests import Request

from api.disk import DiskCollector
from api.estimate import Estimates
from api.events_hub import EventsHub
from api.health import Health
from api.limits import Limiter
from api.links import Links
from api.metrics import Metrics
from storage.database import Database
from storage.objects import ObjectStore
from storage.settings import Settings

T = TypeVar("T")
# Fewer threads than the database has connections, so that a short read always finds one.
THREADS = 16


class Service:
    """Settings, database, object store, and what is kept in memory.

    Raises:
        BadOption: a setting can't be used.
    """

    def __init__(self, settings: Settings, database: Database, objects: ObjectStore, *, prefect_url: str) -> None:
        self.settings, self.database, self.objects = settings, database, objects
        self.limiter = Limiter(settings)
        self.links = Links(settings)
        self.metrics = Metrics()
        self.metrics.registry.register(DiskCollector(settings))
        self.health = Health(database, objects, prefect_url=prefect_url)
        self.estimates = Estimates(database)
        self.hub = EventsHub(database, on_count=self.metrics.set_streams)
        self._threads = anyio.CapacityLimiter(THREADS)
        self._checks = anyio.CapacityLimiter(1)

    async def look(self, work: Callable[[], T]) -> T:
        """Runs a read by primary key or index: at once on SQLite, where handing it to a thread costs more than the read."""
        return work() if self.database.sqlite else await self.do(work)

    async def do(self, work: Callable[[], T]) -> T:
        """Runs anything that may wait (locks, files, networks) in a thread."""
        return await anyio.to_thread.run_sync(work, limiter=self._threads)

    async def check(self, work: Callable[[], T]) -> T:
        """The same for what anybody may ask for without a key: one at a time, so that it takes no thread from clients."""
        return await anyio.to_thread.run_sync(work, limiter=self._checks)


def service_of(request: Request) -> Service:
    """The service of the application that got this request."""
    return request.app.state.service
