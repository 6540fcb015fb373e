"""An empty database, a store, and a Prefect in memory."""

from pathlib import Path
from uuid import UUID

import pytest

from storage.database import Database
from storage.local import LocalStore
from tests.api.dispatch.fake_runs import FakeRuns
from tests.support.databases import migrated_file, new_account, sqlite_database

__all__ = ["migrated_file", "sqlite_database"]


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    return sqlite_database


@pytest.fixture
def account_id(database: Database) -> UUID:
    return new_account(database)


@pytest.fixture
def runs() -> FakeRuns:
    return FakeRuns()


@pytest.fixture
def objects(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "data" / "objects", b"a secret of the tests, long enough")
