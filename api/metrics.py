"""What /metrics tells, in Prometheus' text format."""

import time

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from sqlalchemy import func, select
from sqlmodel import col

from storage.database import Database
from storage.tables import FAILED, FINISHED, LOST, QUEUED, RUNNING, Job, Outbox, now

CONTENT_TYPE = CONTENT_TYPE_LATEST
STATES = (QUEUED, RUNNING, FINISHED, FAILED, LOST)
FRESH_SECONDS = 2.0
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Metrics:
    """The metrics of one application."""

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
        self._jobs = Gauge("splatflow_jobs", "Jobs by state.", ("state",), registry=self.registry)
        self._outbox = Gauge("splatflow_outbox_entries", "What the dispatcher has still to do.", registry=self.registry)
        self._outbox_age = Gauge(
            "splatflow_outbox_oldest_seconds", "Age of the oldest of those entries.", registry=self.registry
        )
        self._streams = Gauge("splatflow_event_streams", "Open event streams.", registry=self.registry)
        self._counted_at = float("-inf")

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

    def count_rows(self, database: Database) -> None:
        """Counts jobs and the outbox, unless that was done a moment ago.

        Raises:
            DatabaseUnavailable
        """
        if time.monotonic() - self._counted_at < FRESH_SECONDS:
            return
        states = select(col(Job.state), func.count()).where(col(Job.deleted_at).is_(None)).group_by(col(Job.state))
        outbox = select(func.count(), func.min(col(Outbox.created_at)))
        with database.read() as session:
            counts = {row[0]: row[1] for row in session.connection().execute(states)}
            length, oldest = session.connection().execute(outbox).one()
        for state in STATES:
            self._jobs.labels(state).set(counts.get(state, 0))
        self._outbox.set(length)
        self._outbox_age.set((now() - oldest).total_seconds() if oldest is not None else 0)
        self._counted_at = time.monotonic()

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self.registry)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
