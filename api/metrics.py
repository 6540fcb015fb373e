"""What /metrics tells, in Prometheus' text format: what this process did, what rows say now, and what they have counted."""

import logging
import platform
import time
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from api.metrics_rows import RowsCollector
from api.metrics_tally import TallyCollector
from storage.database import Database
from tasks.errors import TransientError

CONTENT_TYPE = CONTENT_TYPE_LATEST
FRESH_SECONDS = 2.0
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
log = logging.getLogger("splatflow.api")


class Metrics:
    """The metrics of one application.

    No label has a job, an account or a text of a client as its value: a route is its template, a status a number, an error code
    one of the known ones.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "splatflow_http_request_seconds",
            "Time to answer requests, by method, route and status.",
            ("method", "route", "status"),
            registry=self.registry,
            buckets=BUCKETS,
        )
        self._children: dict[tuple[str, str, int], Histogram] = {}
        self._streams = Gauge("splatflow_event_streams", "Open event streams.", registry=self.registry)
        self._database_up = Gauge(
            "splatflow_database_up",
            "Whether the database could be read for this answer; 0: what it would tell is left out.",
            registry=self.registry,
        )
        build = Gauge("splatflow_build_info", "Versions, as labels.", ("version", "python"), registry=self.registry)
        build.labels(_version(), platform.python_version()).set(1)
        ProcessCollector(registry=self.registry)
        self._rows, self._tally = RowsCollector(), TallyCollector()
        self.registry.register(self._rows)
        self.registry.register(self._tally)
        self._read_at = float("-inf")

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Notes one answer."""
        key = (method if method in _METHODS else "other", route, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._requests.labels(key[0], route, str(status))
        child.observe(seconds)

    def set_streams(self, count: int) -> None:
        """How many event streams are open."""
        self._streams.set(count)

    def read_rows(self, database: Database) -> None:
        """Reads what rows tell, unless that was done a moment ago. A database that is away is told as such: the rest is worth
        knowing just then.
        """
        if time.monotonic() - self._read_at < FRESH_SECONDS:
            return
        try:
            with database.read() as session:
                self._rows.read(session)
                self._tally.read(session)
        except TransientError as error:
            log.warning("metrics without rows: %s", error)
            self._rows.forget()
            self._tally.forget()
            self._database_up.set(0)
            return
        self._database_up.set(1)
        self._read_at = time.monotonic()

    def forget_reading(self) -> None:
        """Has the next `read_rows` read anew, however short a time ago the last one was."""
        self._read_at = float("-inf")

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self.registry)


def _version() -> str:
    try:
        return version("splatflow")
    except PackageNotFoundError:  # run from a tree that isn't installed
        return "unknown"


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
