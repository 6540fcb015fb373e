"""Removes all of a deleted job: objects, cached results, work folders of this machine, runs with their logs and artifacts, rows."""

import logging
import shutil
from pathlib import Path

from api.dispatch.outbox import FORCE_AFTER_SECONDS
from api.dispatch.runs import PrefectUnavailable, Runs
from storage import dispatching, naming, removal
from storage.database import Database
from storage.objects import ObjectStore
from storage.tables import DELETE, Outbox, now

BATCH = 10
SETTLE_SECONDS = 15.0  # a run that was at work notices within a beat, and may be in the middle of storing a file
LOOK_AGAIN_SECONDS = 3.0
log = logging.getLogger("splatflow.dispatcher")


def remove_objects_due(database: Database, objects: ObjectStore, work_folder: Path) -> list[Outbox]:
    """Removes the files of deleted jobs; returns the entries, whose runs and rows are still to go.

    Needs no Prefect, so that files are gone in time also while that is away.
    """
    entries = dispatching.due(database, kinds=[DELETE], limit=BATCH)
    for entry in entries:
        # First, so that one that can't be removed does not stand before all others in the next round too.
        dispatching.again(database, entry, seconds=LOOK_AGAIN_SECONDS)
        for job_id in removal.owners_of(database, entry.job_id):
            objects.delete_prefix(naming.job_prefix(job_id))
        if (orphan := removal.orphaned_upload(database, entry.job_id)) is not None:
            objects.delete([orphan])
        shutil.rmtree(work_folder / str(entry.job_id), ignore_errors=True)
    return entries


def remove_runs(database: Database, runs: Runs, entries: list[Outbox]) -> None:
    """Ends and removes the runs of deleted jobs, and at last their rows."""
    for entry in entries:
        try:
            _remove_runs(database, runs, entry)
        except PrefectUnavailable:
            dispatching.again(database, entry)
            raise


def _remove_runs(database: Database, runs: Runs, entry: Outbox) -> None:
    age = (now() - entry.created_at).total_seconds()
    alive = 0
    found = runs.of_job(entry.job_id)
    for run_id, state in found.items():
        if not state.ended:
            alive += 1
            if state.state != "CANCELLING" or age > FORCE_AFTER_SECONDS:
                runs.stop(run_id, state, force=age > FORCE_AFTER_SECONDS)
    if alive or (age < SETTLE_SECONDS and removal.was_at_work(database, entry.job_id)):
        return
    for run_id in found:
        runs.remove(run_id)
    removal.forget_job(database, entry)
    log.info("job %s: removed", entry.job_id)
