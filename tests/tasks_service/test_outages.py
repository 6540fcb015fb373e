"""PostgreSQL and S3 go away in the middle of a step and come back: what is worth keeping is waited for, and nothing is done twice."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.database import Database
from storage.local import LocalStore
from storage.s3 import S3Store
from storage.settings import Settings
from tasks.service import patience
from tasks.service.heart import Heart
from tasks.service.reference import StepReference
from tasks.service.results import ObjectResults, cache_key
from tasks.service.run import JobRun
from tasks.service.slots import training_slot
from tests.support.databases import at_work, job_row, new_account, submitted
from tests.support.job_runs import LOG, new_run
from tests.support.postgres import Postgres, postgres
from tests.support.proxy import Proxy, proxied
from tests.support.s3_server import S3Server, s3_server

__all__ = ["postgres", "s3_server"]

KEY = "d" * 64
AWAY_SECONDS = 1.5


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(patience, "LONGEST_PAUSE_SECONDS", 0.3)


@pytest.fixture
def s3_proxy(s3_server: S3Server) -> Iterator[Proxy]:
    with proxied(int(s3_server.endpoint.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.fixture
def s3(s3_server: S3Server, s3_proxy: Proxy) -> S3Store:
    store = S3Store(
        endpoint=f"http://127.0.0.1:{s3_proxy.port}",
        region=s3_server.region,
        bucket="outages",
        access_key=s3_server.access_key,
        secret_key=s3_server.secret_key,
        create_bucket=True,
    )
    store.check()
    return store


def made(run: JobRun, **options: Any) -> StepReference:
    def arguments(out: Path) -> dict[str, Any]:
        return {"out": out, "calls": run.folder / "calls"}

    return run.make("train", KEY, "tests.tasks_service.steps:counts_calls", arguments, **options)


@pytest.mark.parametrize("how", ["busy", "away"])
def test_a_store_that_answers_503_or_not_at_all_is_waited_for(
    job_run: JobRun, s3: S3Store, s3_proxy: Proxy, how: str, monkeypatch: pytest.MonkeyPatch
):
    job_run.objects = s3
    getattr(s3_proxy, how)(AWAY_SECONDS)
    reference = made(job_run)
    assert s3_proxy.refused
    assert (job_run.folder / "calls").read_text() == "x"
    info = s3.stat(reference.key)
    assert info is not None
    assert info.bytes == reference.bytes

    job_run.clean()
    getattr(s3_proxy, how)(AWAY_SECONDS)
    assert (job_run.folder_of(reference) / "points").read_bytes() == b"points"

    results, key = ObjectResults(), cache_key(job_run.job_id, "train", KEY)
    monkeypatch.setattr(results, "_store", s3)
    getattr(s3_proxy, how)(AWAY_SECONDS)
    results.write_path(key, b"{}")
    getattr(s3_proxy, how)(AWAY_SECONDS)
    assert results.read_path(key) == b"{}"
    s3.delete_prefix("jobs/")


def test_a_database_that_restarts_is_waited_for(postgres: Postgres, service_settings: Settings):
    """Beats and progress are let go meanwhile; slots, the step's end and its output are not."""
    with proxied(postgres.port) as proxy:
        url = postgres.new_database().replace(f":{postgres.port}/", f":{proxy.port}/")
        database = Database(url.replace("postgresql://", "postgresql+psycopg://"))
        try:
            database.migrate()
            attempt = at_work(database, submitted(database, new_account(database)))
            objects = LocalStore(service_settings.object_folder, b"a secret of the tests, long enough")
            with Heart(attempt, seconds=0.1, log=LOG) as heart:
                run = new_run(attempt, service_settings, objects, heart)
                proxy.away(AWAY_SECONDS)
                reference = made(run, slot=training_slot(run))
                assert proxy.refused
                proxy.away(AWAY_SECONDS)
                run.patiently(lambda: run.end_step("train", reference.seconds))
                time.sleep(0.3)
                run.check()
            job = job_row(database, attempt.job_id)
            assert job.lease_token == attempt.token
            assert job.step_seconds == {"train": reference.seconds}
            assert (run.folder / "calls").read_text() == "x"
            assert objects.stat(reference.key) is not None
        finally:
            database.close()
