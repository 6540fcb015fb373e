"""What the dispatcher does for batches: sees that somebody advances each, and removes the files of results that lost."""

import logging
import time
from collections.abc import Callable
from uuid import UUID

from api.dispatch.runs import Runs
from flows import request
from storage import batch_work, dispatching, shadows
from storage.database import Database
from storage.objects import ObjectStore
from storage.tables import TIDY

BATCH = 10
LOOK_AGAIN_SECONDS = 30.0
UNATTENDED_SECONDS = 10.0  # a run that lives looks every few seconds, and takes up whatever batch there is
STUCK_SECONDS = 120.0  # a run that is said to live, and does nothing for so long: its host is gone, or Prefect is wrong
WAITING = ("SCHEDULED", "PENDING", "PAUSED")
log = logging.getLogger("splatflow.dispatcher")


class BatchWatch:
    """Makes a run for every batch in which something could be done and nobody does it. Two that act at once do no harm: a run has an
    idempotency key, and to advance a batch twice is to advance it once.

    Args:
        clock: seconds of a clock that never goes back.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._clock = database, clock
        self._since: dict[UUID, float] = {}

    def attend(self, runs: Runs) -> None:
        """Looks once.

        Raises:
            DatabaseUnavailable, PrefectUnavailable
        """
        moment = self._clock()
        self._since = {found: self._since.get(found, moment) for found in batch_work.unattended(self._database)}
        for batch_id, since in self._since.items():
            silence = moment - since
            if silence < UNATTENDED_SECONDS:
                continue
            known = runs.tagged(request.batch_tag(batch_id))
            states = [run.state for run in known.values() if not run.ended]
            if any(state in WAITING for state in states):
                self._since[batch_id] = moment  # its patience begins when a worker has it
                continue
            if states and silence < STUCK_SECONDS:
                continue
            run_id = runs.start_batch(batch_id, len(known) + 1)
            self._since[batch_id] = moment
            log.info("batch %s: run %s", batch_id, run_id)


def tidy_due(database: Database, objects: ObjectStore) -> int:
    """Removes what results left that another one has replaced, or that were not good enough; returns how many objects."""
    removed = 0
    for entry in dispatching.due(database, kinds=[TIDY], limit=BATCH):
        # First, so that one that can't be tidied does not stand before all others in the next round too.
        dispatching.again(database, entry, seconds=LOOK_AGAIN_SECONDS)
        removed += shadows.tidy(database, objects, entry.job_id)
        dispatching.done(database, entry)
    return removed
