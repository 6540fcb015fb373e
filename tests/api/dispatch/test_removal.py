"""All of a deleted job goes: objects, cached results, work folder, runs, rows; whatever is away only delays it."""

from pathlib import Path
from uuid import UUID

import pytest

from api.dispatch.outbox import FORCE_AFTER_SECONDS, start_due
from api.dispatch.removal import BATCH, SETTLE_SECONDS, remove_objects_due, remove_runs
from api.dispatch.runs import PrefectUnavailable
from storage import jobs, naming, uploads
from storage.attempts import claim
from storage.database import Database
from storage.local import LocalStore
from storage.objects import StoreUnavailable
from storage.tables import DELETE, Job
from tests.api.dispatch.fake_runs import FakeRuns, pass_seconds
from tests.support.databases import counts, job_row, new_job, outbox, submitted


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


@pytest.fixture
def job(database: Database, account_id: UUID, runs: FakeRuns, objects: LocalStore, work: Path) -> Job:
    """A job whose run was made, with everything that a job can leave."""
    upload = uploads.create(database, account_id, "mp4", seconds=60)
    row = new_job(account_id, blob_name=upload.blob_name)
    jobs.submit(database, row, lambda job: {})
    start_due(database, runs)
    for key in (
        upload.blob_name,
        row.source_key,
        naming.step_key(row.id, "extract", "a" * 64),
        naming.result_key(row.id, "extract." + "a" * 64),
        naming.preview_key(row.id, 1, 10),
        naming.output_key(row.id, 1, "scene.ply"),
    ):
        objects.put_bytes(key, b"data")
    (work / str(row.id) / "train").mkdir(parents=True)
    return row


def remove(database: Database, runs: FakeRuns, objects: LocalStore, work: Path) -> None:
    remove_runs(database, runs, remove_objects_due(database, objects, work))


def test_a_waiting_job_goes_in_two_rounds(
    database: Database, account_id: UUID, runs: FakeRuns, objects: LocalStore, work: Path, job: Job
):
    jobs.remove(database, account_id, job.id)
    remove(database, runs, objects, work)
    assert list(objects.keys("")) == []
    assert not (work / str(job.id)).exists()
    pass_seconds(database, 5)
    remove(database, runs, objects, work)
    assert runs.runs == {}
    left = {name: n for name, n in counts(database).items() if n}
    assert left == {"account": 1, "apikey": 1, "tally": 1}  # a figure of all deleted jobs


def test_a_job_at_work_goes_when_its_run_has_ended_and_late_writes_have_settled(
    database: Database, account_id: UUID, runs: FakeRuns, objects: LocalStore, work: Path, job: Job
):
    run_id = runs.only()
    claim(database, job.id, run_id, 1)
    runs.runs[run_id].state = "RUNNING"
    jobs.remove(database, account_id, job.id)
    remove(database, runs, objects, work)
    assert runs.stops == [(run_id, False)]
    objects.put_bytes(naming.output_key(job.id, 1, "late.ply"), b"late")
    runs.runs[run_id].state = "CANCELLED"
    pass_seconds(database, 5)
    remove(database, runs, objects, work)
    assert list(objects.keys("")) == []
    assert job_row(database, job.id).deleted_at is not None, "something may still come"
    objects.put_bytes(naming.output_key(job.id, 1, "later.ply"), b"late")
    pass_seconds(database, SETTLE_SECONDS)
    remove(database, runs, objects, work)
    assert (list(objects.keys("")), runs.runs, counts(database)["job"]) == ([], {}, 0)


def test_a_run_that_does_not_end_is_forced(
    database: Database, account_id: UUID, runs: FakeRuns, objects: LocalStore, work: Path, job: Job
):
    run_id = runs.only()
    runs.runs[run_id].state = "CANCELLING"
    jobs.remove(database, account_id, job.id)
    remove(database, runs, objects, work)
    assert runs.stops == []
    pass_seconds(database, FORCE_AFTER_SECONDS + 1)
    remove(database, runs, objects, work)
    pass_seconds(database, 5)
    remove(database, runs, objects, work)
    assert (runs.stops, runs.runs, counts(database)["job"]) == ([(run_id, True)], {}, 0)


def test_files_go_while_prefect_is_away_and_the_rest_when_it_is_back(
    database: Database, account_id: UUID, runs: FakeRuns, objects: LocalStore, work: Path, job: Job
):
    jobs.remove(database, account_id, job.id)
    runs.away = True
    for _ in range(3):
        pass_seconds(database, 60)
        with pytest.raises(PrefectUnavailable):
            remove(database, runs, objects, work)
    assert list(objects.keys("")) == []
    assert counts(database)["job"] == 1
    runs.away = False
    for _ in range(2):
        pass_seconds(database, 60)
        remove(database, runs, objects, work)
    assert (runs.runs, counts(database)["job"], outbox(database)) == ({}, 0, [])


def test_all_files_go_while_prefect_is_away_also_of_many_jobs(
    database: Database, account_id: UUID, runs: FakeRuns, objects: LocalStore, work: Path
):
    for _ in range(3 * BATCH):
        job_id = submitted(database, account_id)
        objects.put_bytes(naming.source_key(job_id, "mp4"), b"data")
        jobs.remove(database, account_id, job_id)
    runs.away = True
    for _ in range(3):
        with pytest.raises(PrefectUnavailable):
            remove(database, runs, objects, work)
    assert list(objects.keys("")) == []
    assert len(outbox(database, DELETE)) == 3 * BATCH


def test_an_upload_that_another_job_reads_stays(
    database: Database, account_id: UUID, runs: FakeRuns, objects: LocalStore, work: Path, job: Job
):
    other = submitted(database, account_id, blob_name=job.blob_name)
    jobs.remove(database, account_id, job.id)
    for _ in range(2):
        remove(database, runs, objects, work)
        pass_seconds(database, 60)
    assert list(objects.keys("")) == [job.blob_name]
    assert job_row(database, other).blob_name == job.blob_name
    assert counts(database)["upload"] == 1


def test_one_that_cannot_be_removed_does_not_hold_up_the_others(
    database: Database,
    account_id: UUID,
    runs: FakeRuns,
    objects: LocalStore,
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    stuck, good = submitted(database, account_id), submitted(database, account_id)
    for job_id in (stuck, good):
        jobs.remove(database, account_id, job_id)
    delete = objects.delete_prefix

    def fails_for_one(prefix: str) -> int:
        if str(stuck) in prefix:
            raise StoreUnavailable("This one fails.")
        return delete(prefix)

    monkeypatch.setattr(objects, "delete_prefix", fails_for_one)
    with pytest.raises(StoreUnavailable):
        remove(database, runs, objects, work)
    remove(database, runs, objects, work)
    assert [entry.job_id for entry in outbox(database)] == [stuck]
    monkeypatch.setattr(objects, "delete_prefix", delete)
    pass_seconds(database, 60)
    remove(database, runs, objects, work)
    assert outbox(database) == []
