"""A job at work on this machine, as the tasks see it, over SQLite and a store in a folder.

A `conftest.py` that imports the fixtures gives them to its tests, together with those of `tests.support.databases`.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from storage.attempts import Attempt
from storage.database import Database
from storage.local import LocalStore
from storage.settings import Settings
from tasks.service.heart import Heart
from tasks.service.run import JobRun
from tests.support.databases import at_work, job_row, new_account, submitted

BEAT_SECONDS = 0.1
LOG = logging.getLogger("tests")


@pytest.fixture
def service_settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", beat_seconds=BEAT_SECONDS)


@pytest.fixture
def objects(service_settings: Settings) -> LocalStore:
    return LocalStore(service_settings.object_folder, b"a secret of the tests, long enough")


@pytest.fixture
def account_id(sqlite_database: Database) -> UUID:
    return new_account(sqlite_database)


@pytest.fixture
def attempt(sqlite_database: Database, account_id: UUID, objects: LocalStore) -> Attempt:
    """At work at a job whose source is in the store."""
    made = at_work(sqlite_database, submitted(sqlite_database, account_id, source_bytes=5))
    objects.put_bytes(job_row(sqlite_database, made.job_id).source_key, b"video")
    return made


@pytest.fixture
def job_run(attempt: Attempt, service_settings: Settings, objects: LocalStore) -> Iterator[JobRun]:
    with Heart(attempt, seconds=BEAT_SECONDS, log=LOG) as heart:
        yield new_run(attempt, service_settings, objects, heart)


def new_run(attempt: Attempt, settings: Settings, objects: LocalStore, heart: Heart) -> JobRun:
    return JobRun(settings=settings, attempt=attempt, objects=objects, heart=heart, device="cpu", log=LOG)
