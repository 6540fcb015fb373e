"""Carries out what transactions left in the outbox: runs to make, and runs to stop."""

import logging
import time

from api.dispatch.runs import PrefectUnavailable, Runs
from flows import request
from storage import dispatching
from storage.database import Database
from storage.tables import START, STOP, Outbox, now

BATCH = 25
START_SECONDS = 2.0  # in one go, so that a slow Prefect does not keep us from looking after attempts
LOOK_AGAIN_SECONDS = 2.0
FORCE_AFTER_SECONDS = 30.0  # a worker takes 4 to 8 s to end a run that lives
log = logging.getLogger("splatflow.dispatcher")


def start_due(database: Database, runs: Runs) -> int:
    """Makes the runs of waiting attempts, a batch at most; returns how many. Prefect being away leaves all for later."""
    made, until = 0, time.monotonic() + START_SECONDS
    for entry in dispatching.due(database, kinds=[START], limit=BATCH):
        if time.monotonic() > until:
            break
        job = dispatching.job_to_start(database, entry)
        if job is None:
            dispatching.done(database, entry)
            continue
        try:
            # A job that was interrupted at work goes before those that have not begun.
            queue = request.FIRST_QUEUE if job.started_at is not None else request.DEFAULT_QUEUE
            run_id = runs.start(
                job.id,
                job.attempt,
                title=job.title,
                method=job.reconstruction_method,
                queue=queue,
                waiting_since=entry.created_at,
            )
        except PrefectUnavailable:
            dispatching.again(database, entry)
            raise
        if not dispatching.started(database, entry, run_id):
            dispatching.stop_run(database, job.id, run_id)  # cancelled or deleted while we asked
        made += 1
        log.info("job %s: attempt %d is run %s", job.id, job.attempt, run_id)
    return made


def stop_due(database: Database, runs: Runs) -> None:
    """Stops runs that no job wants; each is looked after until it has ended."""
    entries = dispatching.due(database, kinds=[STOP], limit=BATCH)
    states = runs.states([entry.run_id for entry in entries if entry.run_id is not None]) if entries else {}
    for entry in entries:
        state = states.get(entry.run_id) if entry.run_id is not None else None
        if entry.run_id is None or state is None or state.ended:
            dispatching.done(database, entry)
            continue
        # First, so that one that can't be stopped does not stand before all others in the next round too.
        dispatching.again(database, entry, seconds=LOOK_AGAIN_SECONDS)
        if state.state != "CANCELLING" or _age_seconds(entry) > FORCE_AFTER_SECONDS:
            runs.stop(entry.run_id, state, force=_age_seconds(entry) > FORCE_AFTER_SECONDS)


def _age_seconds(entry: Outbox) -> float:
    return (now() - entry.created_at).total_seconds()
