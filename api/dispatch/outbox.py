"""Carries out what transactions left in the outbox: runs to make, and runs to stop."""

import logging
import time
from collections.abc import Callable
from uuid import UUID

from api.dispatch.line import Line, Place, early_batch, overdue
from api.dispatch.runs import PrefectUnavailable, Runs
from storage import dispatching, waiting
from storage.admission import USUAL, Rules, order, to_release
from storage.database import Database
from storage.tables import STOP, Job, Outbox, now

BATCH = 25
START_SECONDS = 2.0  # in one go, so that a slow Prefect does not keep us from looking after attempts
LOOK_AGAIN_SECONDS = 2.0
FORCE_AFTER_SECONDS = 30.0  # a worker takes 4 to 8 s to end a run that lives
log = logging.getLogger("splatflow.dispatcher")


def start_due(
    database: Database,
    runs: Runs,
    rules: Rules = USUAL,
    running_limit: Callable[[UUID], int | None] = lambda _: None,
) -> int:
    """Makes the runs of those jobs whose turn comes next; returns how many. Prefect being away leaves all for later.

    Args:
        running_limit: how many jobs an account may have at work; None: any number.
    """
    queue = waiting.read(database)
    ordered = order(queue.waiting, queue.served, rules)
    ahead = rules.ahead(queue.served)
    chosen = to_release(ordered, queue.served, rules, put_off=queue.put_off, running_limit=running_limit)
    if not (chosen or early_batch(ordered, ahead)):
        return 0
    entries = dispatching.starts_of(database, [job.id for job in chosen])
    try:
        at_prefect = runs.waiting() if any(job.run_id is not None for job in ordered) else []
    except PrefectUnavailable:
        for entry in list(entries.values())[:1]:
            dispatching.again(database, entry)
        raise
    for late in overdue(ordered, at_prefect, ahead):
        dispatching.take_back(database, late.id, late.run_id)  # the next round releases it in its turn
    made, until, line = 0, time.monotonic() + START_SECONDS, Line(ordered, at_prefect)
    for turn in chosen:
        if time.monotonic() > until:
            break
        entry = entries.get(turn.id)
        if entry is None:
            continue
        job = dispatching.job_to_start(database, entry)
        if job is None:
            dispatching.done(database, entry)
        else:
            _start(database, runs, entry, job, line.put(turn))
            made += 1
    return made


def _start(database: Database, runs: Runs, entry: Outbox, job: Job, place: Place) -> None:
    try:
        run_id = runs.start(
            job.id,
            job.attempt,
            title=job.title,
            method=job.reconstruction_method,
            queue=place.queue,
            waiting_since=place.since,
        )
    except PrefectUnavailable:
        dispatching.again(database, entry)
        raise
    if not dispatching.started(database, entry, run_id):
        dispatching.stop_run(database, job.id, run_id)  # cancelled or deleted while we asked
    log.info("job %s: attempt %d is run %s", job.id, job.attempt, run_id)


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
