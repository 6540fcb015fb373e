"""Housekeeping, by schedule: removes what is past its time or belongs to nothing. Everything here may be interrupted and repeated."""

import shutil
import time
from datetime import timedelta
from uuid import UUID

from prefect import flow, get_run_logger, task
from prefect.tasks import exponential_backoff

from storage import footprint, housekeeping
from storage.database import database
from storage.objects import open_store
from storage.settings import settings

KEEP_ANSWERS = timedelta(days=2)
KEEP_WORK = timedelta(days=1)  # of jobs that ended without outputs: a retry goes on from it
UPLOAD_GRACE = timedelta(hours=1)
SUBMIT_SECONDS = 30.0  # a submit copies the upload first and writes the row then
RETRY = {"retries": 3, "retry_delay_seconds": exponential_backoff(backoff_factor=5)}


@task(task_run_name="uploads", **RETRY)
def sweep_uploads() -> int:
    """Removes uploads that were never submitted and whose URL has expired; returns how many."""
    objects, names = open_store(settings()), housekeeping.expired_uploads(database(), grace=UPLOAD_GRACE)
    objects.delete(names)
    housekeeping.forget_uploads(database(), names)
    return len(names)


@task(task_run_name="objects", **RETRY)
def sweep_objects() -> int:
    """Removes objects of jobs and uploads that have no row (a write that came late); returns how many."""
    objects, removed = open_store(settings()), 0
    found: dict[UUID, str] = {}
    for key in objects.keys("jobs/"):
        job = _uuid(key.split("/")[1])
        if job is not None:
            found[job] = f"jobs/{job}/"
    strangers = found.keys() - housekeeping.existing_jobs(database(), found)
    if strangers:
        time.sleep(SUBMIT_SECONDS)
    for job in strangers - housekeeping.existing_jobs(database(), strangers):
        removed += objects.delete_prefix(found[job])
    strays = housekeeping.unknown_uploads(database(), list(objects.keys("videos/")))
    objects.delete(strays)
    objects.sweep(older_than=timedelta(days=1))
    return removed + len(strays)


@task(task_run_name="work folders", **RETRY)
def sweep_work() -> int:
    """Removes this machine's work folders of jobs that are gone or ended long ago; returns how many."""
    folder, removed = settings().work_folder, 0
    if not folder.is_dir():
        return 0
    jobs = {job: path for path in folder.iterdir() if (job := _uuid(path.name)) is not None}
    for job in jobs.keys() - housekeeping.jobs_in_need(database(), jobs, ended_within=KEEP_WORK):
        shutil.rmtree(jobs[job], ignore_errors=True)
        removed += 1
    return removed


@task(task_run_name="answers", **RETRY)
def sweep_answers() -> int:
    """Forgets the answers kept for repeated submits; returns how many."""
    return housekeeping.forget_answers(database(), older_than=KEEP_ANSWERS)


@task(task_run_name="store", **RETRY)
def measure_store() -> int:
    """Adds up what the object store holds, for `/metrics`; returns the bytes."""
    return sum(footprint.measure(database(), open_store(settings())).values())


@flow(name="maintain", persist_result=False)
def maintain() -> None:
    """One round of housekeeping."""
    log = get_run_logger()
    log.info("uploads removed: %d", sweep_uploads())
    log.info("objects removed: %d", sweep_objects())
    log.info("work folders removed: %d", sweep_work())
    log.info("answers forgotten: %d", sweep_answers())
    log.info("bytes in the object store: %d", measure_store())


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
