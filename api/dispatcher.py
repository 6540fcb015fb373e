"""The dispatcher, a process of its own: `python -m api.dispatcher`.

It is the only part that talks to Prefect about jobs: makes runs from the outbox, reads the queue in batches, notices
attempts that died, carries out cancellations and deletions. Several may run; one acts. Prefect, the database or the
object store being away only delays it. While it acts it also tells webhooks, in threads of their own (`api.webhooks.sender`).
"""

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from api.dispatch.batches import BatchWatch, tidy_due
from api.dispatch.outbox import start_due, stop_due
from api.dispatch.removal import remove_objects_due, remove_runs
from api.dispatch.runs import Runs, connected
from api.dispatch.watch import Patience, Watch
from api.webhooks.sender import Sender
from storage.admission import Rules
from storage.batch_work import settle
from storage.database import Database
from storage.leadership import Leadership
from storage.objects import ObjectStore, open_store
from storage.quotas import RunningLimits
from storage.settings import Settings, load_settings
from tasks.errors import SplatflowError, TransientError

ROUND_SECONDS = 0.5
WATCH_SECONDS = 2.0
QUEUE_SHARE = 0.2  # of the time at most for each reading of the queue: when it is long, one takes seconds
LEADER_PATIENCE_SECONDS = 8.0  # two that act at once do no harm: rows are fenced, runs have idempotency keys
COMPLAIN_SECONDS = 30.0
log = logging.getLogger("splatflow.dispatcher")


class Dispatcher:
    """One round after the other. Each part of a round fails alone."""

    def __init__(self, settings: Settings, database: Database, objects: ObjectStore, runs: Runs) -> None:
        self._settings, self._database, self._objects, self._runs = settings, database, objects, runs
        self._rules = Rules(
            batch_every=settings.batch_every,
            release_ahead=settings.release_ahead,
            release_per_account=settings.release_per_account,
        )
        self._watch = Watch(
            database,
            Patience(
                beat_seconds=settings.beat_seconds,
                dead_after_seconds=settings.dead_after_seconds,
                max_attempts=settings.max_attempts,
            ),
            rules=self._rules,
        )
        self._running_limits = RunningLimits(database, settings.quota_running)
        self._batches = BatchWatch(database)
        self._next: dict[str, float] = {}
        self._complained: dict[str, float] = {}

    def round(self) -> None:
        """Does all that is due now."""
        self._paced("starting runs", ROUND_SECONDS, self._start)
        self._try("stopping runs", lambda: stop_due(self._database, self._runs))
        self._try("removing jobs", self._remove)
        self._try("tidying up", lambda: tidy_due(self._database, self._objects))
        self._paced("settling batches", WATCH_SECONDS, lambda: settle(self._database))
        self._paced("running batches", WATCH_SECONDS, lambda: self._batches.attend(self._runs))
        self._paced("watching attempts", WATCH_SECONDS, self._watch.silent_hosts)
        self._paced("watching runs", WATCH_SECONDS, lambda: self._watch.ended_runs(self._runs))
        self._paced("reading the queue", ROUND_SECONDS, lambda: self._watch.places(self._runs))

    def _paced(self, what: str, seconds: float, act: Callable[[], object]) -> None:
        began = time.monotonic()
        if began < self._next.get(what, 0.0):
            return
        self._try(what, act)
        took = time.monotonic() - began
        self._next[what] = began + max(seconds, took / QUEUE_SHARE)

    def _start(self) -> None:
        start_due(self._database, self._runs, self._rules, self._running_limits)

    def _remove(self) -> None:
        entries = remove_objects_due(self._database, self._objects, self._settings.work_folder)
        remove_runs(self._database, self._runs, entries)

    def _try(self, what: str, act: Callable[[], object]) -> None:
        try:
            act()
        except TransientError as error:
            if time.monotonic() >= self._complained.get(what, 0.0):
                self._complained[what] = time.monotonic() + COMPLAIN_SECONDS
                log.warning("%s: %s It is tried again.", what, error)
        except Exception:
            log.exception("%s failed; it is tried again", what)
            time.sleep(ROUND_SECONDS)


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stop = threading.Event()
    for wish_to_end in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wish_to_end, lambda *_: stop.set())
    try:
        settings = load_settings()
        database, objects = Database(settings.database), open_store(settings)
    except SplatflowError as error:
        print(f"error [{error.slug}]: {error}", file=sys.stderr)
        sys.exit(2)
    leadership = Leadership(database, patience_seconds=LEADER_PATIENCE_SECONDS)
    with (
        Sender(settings, database) as sender,
        connected(deployment=settings.deployment, pool=settings.work_pool) as runs,
    ):
        dispatcher = Dispatcher(settings, database, objects, runs)
        log.info("dispatching")
        while not stop.wait(ROUND_SECONDS):
            try:
                leads = leadership.held(time.monotonic())
            except TransientError as error:
                log.warning("%s", error)
                stop.wait(ROUND_SECONDS)
                continue
            if leads:
                sender.lead()
                dispatcher.round()
    with suppress(TransientError):
        leadership.resign()


if __name__ == "__main__":
    main()
