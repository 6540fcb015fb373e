"""A round of the dispatcher: each part of it fails alone."""

from pathlib import Path
from uuid import UUID

import pytest

import api.dispatcher
from api.dispatcher import Dispatcher
from storage import jobs, naming
from storage.attempts import claim
from storage.database import Database
from storage.local import LocalStore
from storage.objects import StoreUnavailable
from storage.settings import Settings
from tests.api.dispatch.fake_runs import FakeRuns, pass_seconds
from tests.support.databases import counts, job_row, submitted


@pytest.fixture
def dispatcher(
    database: Database, objects: LocalStore, runs: FakeRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Dispatcher:
    monkeypatch.setattr(api.dispatcher, "ROUND_SECONDS", 0.0)
    return Dispatcher(Settings(data=tmp_path / "data"), database, objects, runs)


def test_a_round_does_all_that_is_due(
    dispatcher: Dispatcher, database: Database, account_id: UUID, runs: FakeRuns, objects: LocalStore
):
    waiting, deleted = submitted(database, account_id), submitted(database, account_id)
    objects.put_bytes(naming.source_key(deleted, "mp4"), b"data")
    jobs.remove(database, account_id, deleted)
    dispatcher.round()
    assert job_row(database, waiting).run_id == runs.only()
    assert job_row(database, waiting).queue_position == 1
    assert list(objects.keys("")) == []
    pass_seconds(database, 60)
    dispatcher.round()
    assert counts(database)["job"] == 1


def test_with_prefect_away_files_still_go(
    dispatcher: Dispatcher, database: Database, account_id: UUID, runs: FakeRuns, objects: LocalStore
):
    submitted(database, account_id)
    deleted = submitted(database, account_id)
    objects.put_bytes(naming.source_key(deleted, "mp4"), b"data")
    jobs.remove(database, account_id, deleted)
    runs.away = True
    dispatcher.round()
    assert list(objects.keys("")) == []


def test_with_the_store_away_runs_still_start(
    dispatcher: Dispatcher,
    database: Database,
    account_id: UUID,
    runs: FakeRuns,
    objects: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
):
    waiting, deleted = submitted(database, account_id), submitted(database, account_id)
    jobs.remove(database, account_id, deleted)

    def away(prefix: str) -> int:
        raise StoreUnavailable("away")

    monkeypatch.setattr(objects, "delete_prefix", away)
    dispatcher.round()
    assert job_row(database, waiting).queue_position == 1


def test_a_defect_in_one_part_leaves_the_others(
    dispatcher: Dispatcher,
    database: Database,
    account_id: UUID,
    runs: FakeRuns,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    waiting = submitted(database, account_id)

    def defect(*_: object) -> None:
        raise AssertionError("a defect")

    monkeypatch.setattr(api.dispatcher, "stop_due", defect)
    dispatcher.round()
    assert job_row(database, waiting).queue_position == 1
    assert "stopping runs failed" in caplog.text


def test_the_same_complaint_is_not_repeated_every_round(
    dispatcher: Dispatcher, database: Database, account_id: UUID, runs: FakeRuns, caplog: pytest.LogCaptureFixture
):
    claim(database, submitted(database, account_id), UUID(int=1), 1)
    runs.away = True
    for _ in range(3):
        dispatcher.round()
    assert caplog.text.count("watching runs") == 1


def test_a_long_queue_is_read_less_often_than_it_takes(
    dispatcher: Dispatcher, database: Database, account_id: UUID, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
):
    submitted(database, account_id)
    clock, reads = [0.0], []
    monkeypatch.setattr(api.dispatcher.time, "monotonic", lambda: clock[0])

    def slow() -> list[UUID]:
        reads.append(clock[0])
        clock[0] += 4.0
        return []

    monkeypatch.setattr(runs, "waiting", slow)
    for _ in range(100):
        dispatcher.round()
        clock[0] += 1.0
    assert sum(4.0 for _ in reads) <= 0.25 * clock[0]
    assert len(reads) >= 3
