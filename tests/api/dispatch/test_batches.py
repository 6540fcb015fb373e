"""The dispatcher's part of batches: a run for what nobody advances, and the files of results that lost."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from api.dispatch.batches import STUCK_SECONDS, UNATTENDED_SECONDS, BatchWatch, tidy_due
from api.dispatch.removal import remove_objects_due
from api.dispatch.runs import PrefectUnavailable, RunState
from storage import batch_work, jobs, naming
from storage.database import Database
from storage.local import LocalStore
from tests.api.dispatch.fake_runs import FakeRun, FakeRuns, pass_seconds
from tests.storage.test_batches import end, finished, made, shadow_of
from tests.support.databases import job_row, new_account


class BatchRuns(FakeRuns):
    """Runs of one batch."""

    def start_batch(self, batch_id: UUID, number: int) -> UUID:
        self._ask()
        run_id = uuid4()
        self.runs[run_id] = FakeRun(None, number, str(batch_id))
        return run_id

    def tagged(self, tag: str) -> dict[UUID, RunState]:
        self._ask()
        return {run_id: self._state(run_id) for run_id, run in self.runs.items() if tag == f"batch:{run.title}"}


@pytest.fixture
def objects(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "objects", b"a secret of the tests, long enough")


def test_what_nobody_advances_gets_a_run(sqlite_database: Database, objects: LocalStore):
    account_id, time, runs = new_account(sqlite_database), [0.0], BatchRuns()
    job_id = finished(sqlite_database, objects, account_id)
    watch = BatchWatch(sqlite_database, clock=lambda: time[0])

    def after(seconds: float) -> int:
        time[0] += seconds
        watch.attend(runs)
        return len(runs.runs)

    assert after(1000) == 0, "there is no batch"
    batch_id = made(sqlite_database, account_id)
    assert after(1) == 0, "a run that lives may take it up"
    assert after(UNATTENDED_SECONDS) == 1
    assert after(10 * STUCK_SECONDS) == 1, "its run waits for a worker"
    runs.runs[runs.only()].state = "RUNNING"
    assert after(UNATTENDED_SECONDS) == 1, "it has only begun"
    for run in runs.runs.values():
        run.state = "CRASHED"
    known = len(runs.runs)
    assert after(UNATTENDED_SECONDS) == known + 1

    # While everything is at work there is nothing to do, whoever lives.
    batch_work.advance(sqlite_database, objects, batch_id)
    assert after(10 * STUCK_SECONDS) == known + 1
    end(shadow_of(sqlite_database, batch_id, job_id), objects)
    runs.runs.clear()
    assert after(1) == 0
    runs.away = True
    with pytest.raises(PrefectUnavailable):
        after(UNATTENDED_SECONDS)
    runs.away = False
    assert after(1) == 1, "the batch is to be ended"
    batch_work.advance(sqlite_database, objects, batch_id)
    assert after(10 * STUCK_SECONDS) == 1


def test_a_run_that_is_said_to_live_and_does_nothing_is_not_waited_for(sqlite_database: Database, objects: LocalStore):
    account_id, time, runs = new_account(sqlite_database), [0.0], BatchRuns()
    finished(sqlite_database, objects, account_id)
    batch_id = made(sqlite_database, account_id)
    runs.runs[uuid4()] = FakeRun(None, 1, str(batch_id), state="RUNNING")
    watch = BatchWatch(sqlite_database, clock=lambda: time[0])
    watch.attend(runs)
    for moment, count in ((STUCK_SECONDS - 1, 1), (STUCK_SECONDS + 1, 2)):
        time[0] = moment
        watch.attend(runs)
        assert len(runs.runs) == count


def test_the_old_files_go_when_links_to_them_have_expired(sqlite_database: Database, objects: LocalStore):
    account_id = new_account(sqlite_database)
    job_id = finished(sqlite_database, objects, account_id)
    old = job_row(sqlite_database, job_id).files["ply"]["key"]
    batch_id = made(sqlite_database, account_id)
    batch_work.advance(sqlite_database, objects, batch_id)
    end(shadow_of(sqlite_database, batch_id, job_id), objects)
    assert tidy_due(sqlite_database, objects) == 0
    assert objects.stat(old) is not None
    pass_seconds(sqlite_database, 16 * 60)
    assert tidy_due(sqlite_database, objects) == 2
    assert tidy_due(sqlite_database, objects) == 0
    assert objects.stat(old) is None
    assert objects.stat(job_row(sqlite_database, job_id).files["ply"]["key"]) is not None


def test_what_a_try_stored_last_goes_with_its_deleted_job(
    sqlite_database: Database, objects: LocalStore, tmp_path: Path
):
    account_id = new_account(sqlite_database)
    job_id = finished(sqlite_database, objects, account_id)
    batch_id = made(sqlite_database, account_id)
    batch_work.advance(sqlite_database, objects, batch_id)
    attempt = shadow_of(sqlite_database, batch_id, job_id)
    jobs.remove(sqlite_database, account_id, job_id)
    remove_objects_due(sqlite_database, objects, tmp_path)
    late = naming.output_key(job_id, naming.shadow_attempt(attempt.job_id, 1), "scene.ply")
    objects.put_bytes(late, b"late")
    pass_seconds(sqlite_database, 5)
    remove_objects_due(sqlite_database, objects, tmp_path)
    assert list(objects.keys("")) == []
