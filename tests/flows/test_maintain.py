"""Housekeeping removes what belongs to nothing, and nothing else."""

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update
from sqlmodel import col

from flows import maintain
from storage import jobs, measures, naming, tally, uploads
from storage.database import Database
from storage.jobs import Submission
from storage.local import INCOMING, LocalStore
from storage.settings import Settings
from storage.tables import IdempotentSubmit, Upload, now
from tests.support.databases import at_work, counts, new_job, submitted


@pytest.fixture(autouse=True)
def of_these_tests(
    monkeypatch: pytest.MonkeyPatch, sqlite_database: Database, objects: LocalStore, service_settings: Settings
) -> None:
    monkeypatch.setattr(maintain, "database", lambda: sqlite_database)
    monkeypatch.setattr(maintain, "settings", lambda: service_settings)
    monkeypatch.setattr(maintain, "open_store", lambda _: objects)
    monkeypatch.setattr(maintain, "SUBMIT_SECONDS", 0.0)


def upload_of(database: Database, objects: LocalStore, account_id: UUID, *, expired_ago: timedelta) -> str:
    name = uploads.create(database, account_id, "mp4", seconds=60).blob_name
    objects.put_bytes(name, b"video")
    with database.write() as session:
        session.execute(update(Upload).where(col(Upload.blob_name) == name).values(expires_at=now() - expired_ago))
    return name


def test_uploads_that_were_never_submitted_go(sqlite_database: Database, objects: LocalStore, account_id: UUID):
    forgotten = upload_of(sqlite_database, objects, account_id, expired_ago=timedelta(hours=2))
    late = upload_of(sqlite_database, objects, account_id, expired_ago=timedelta(minutes=2))
    read = upload_of(sqlite_database, objects, account_id, expired_ago=timedelta(hours=2))
    submitted(sqlite_database, account_id, blob_name=read)
    assert maintain.sweep_uploads.fn() == 1
    assert set(objects.keys("")) == {late, read}
    assert counts(sqlite_database)["upload"] == 2
    assert forgotten not in set(objects.keys(""))
    assert maintain.sweep_uploads.fn() == 0


def test_objects_of_no_job_go_and_those_of_jobs_stay(sqlite_database: Database, objects: LocalStore, account_id: UUID):
    kept, deleted = submitted(sqlite_database, account_id), submitted(sqlite_database, account_id)
    jobs.remove(sqlite_database, account_id, deleted)  # its row is there until the dispatcher has removed all
    known = upload_of(sqlite_database, objects, account_id, expired_ago=timedelta(0))
    keep = {known, *(naming.source_key(job_id, "mp4") for job_id in (kept, deleted)), "jobs/not-an-id/x"}
    stray = {
        naming.source_key(stranger := uuid4(), "mp4"),
        naming.output_key(stranger, 1, "late.ply"),
        f"videos/{uuid4()}.mp4",
    }
    for key in keep | stray:
        objects.put_bytes(key, b"x")
    assert maintain.sweep_objects.fn() == len(stray)
    assert set(objects.keys("")) == keep


def test_a_submit_that_has_copied_and_not_yet_written_loses_nothing(
    sqlite_database: Database, objects: LocalStore, account_id: UUID, monkeypatch: pytest.MonkeyPatch
):
    job = new_job(account_id)
    objects.put_bytes(job.source_key, b"video")

    def meanwhile(_: float) -> None:
        jobs.submit(sqlite_database, job, lambda row: {})

    monkeypatch.setattr(maintain.time, "sleep", meanwhile)
    assert maintain.sweep_objects.fn() == 0
    assert list(objects.keys("")) == [job.source_key]


def test_what_crashes_left_of_objects_on_their_way_in_goes(objects: LocalStore):
    incoming = objects.folder / INCOMING
    incoming.mkdir(parents=True)
    old, new = incoming / "old", incoming / "new"
    for path in (old, new):
        path.write_bytes(b"x")
    long_ago = time.time() - 10 * 86_400
    os.utime(old, (long_ago, long_ago))
    maintain.sweep_objects.fn()
    assert list(incoming.iterdir()) == [new]


def test_work_folders_stay_while_they_are_of_use(
    sqlite_database: Database, account_id: UUID, service_settings: Settings
):
    work = service_settings.work_folder
    assert maintain.sweep_work.fn() == 0, "there is no folder yet"
    waiting, working, deleted = (submitted(sqlite_database, account_id) for _ in range(3))
    at_work(sqlite_database, working)
    jobs.remove(sqlite_database, account_id, deleted)
    for name in (waiting, working, deleted, uuid4(), "other"):
        (work / str(name) / "train").mkdir(parents=True)
    assert maintain.sweep_work.fn() == 2
    assert {path.name for path in work.iterdir()} == {str(waiting), str(working), "other"}


def test_old_answers_are_forgotten(sqlite_database: Database, account_id: UUID):
    for key in ("old", "new"):
        jobs.submit(sqlite_database, new_job(account_id), lambda job: {}, Submission(key=key, body_sha256="b"))
    with sqlite_database.write() as session:
        session.execute(
            update(IdempotentSubmit)
            .where(col(IdempotentSubmit.key) == "old")
            .values(created_at=now() - 2 * maintain.KEEP_ANSWERS)
        )
    assert maintain.sweep_answers.fn() == 1
    assert counts(sqlite_database)["idempotentsubmit"] == 1


def test_what_the_store_holds_is_added_up(sqlite_database: Database, objects: LocalStore):
    job_id = uuid4()
    for key, size in (
        (naming.upload_key(uuid4(), "mp4"), 1),
        (naming.source_key(job_id, "mp4"), 2),
        (naming.step_key(job_id, "sfm", "d"), 4),
        (naming.step_key(job_id, "train", "d"), 8),
        (naming.output_key(job_id, 1, "scene.ply"), 16),
        (naming.preview_key(job_id, 1, 1), 32),
        (naming.result_key(job_id, "sfm.d"), 64),
        ("jobs/stray", 128),
        ("stray", 256),
    ):
        objects.put_bytes(key, b"x" * size)
    assert maintain.measure_store.fn() == 511
    with sqlite_database.read() as session:
        levels = tally.read(session)
    found = {labels[0]: parts[""] for labels, parts in levels[measures.STORE_BYTES.name].items()}
    assert found == {
        "uploads": 1,
        "sources": 2,
        "steps": 12,
        "checkpoints": 0,
        "outputs": 16,
        "previews": 32,
        "other": 448,
    }
    assert abs(levels[measures.STORE_MEASURED.name][()][""] - time.time()) < 60


@pytest.mark.parametrize(
    "sweep", [maintain.sweep_uploads.fn, maintain.sweep_objects.fn, maintain.sweep_work.fn, maintain.sweep_answers.fn]
)
def test_on_an_empty_service_there_is_nothing_to_do(sweep: Callable[[], int], tmp_path: Path):
    assert sweep() == 0
