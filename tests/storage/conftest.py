"""Both object stores and both databases, empty, for the tests of the laws that they share."""

from pathlib import Path
from uuid import uuid4

import pytest

from storage.local import LocalStore
from storage.objects import ObjectStore
from storage.s3 import S3Store
from tests.storage.kept import Kept, kept
from tests.support.databases import database, migrated_file, postgres_database, postgres_of_module, sqlite_database
from tests.support.postgres import postgres
from tests.support.s3_server import S3Server, s3_server

__all__ = [
    "database",
    "local_store",
    "migrated_file",
    "postgres",
    "postgres_database",
    "postgres_of_module",
    "s3_server",
    "s3_store",
    "service",
    "sqlite_database",
    "store",
]

SECRET = b"a secret of the tests, long enough"


@pytest.fixture
def local_store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "objects", SECRET)


@pytest.fixture
def s3_store(s3_server: S3Server) -> S3Store:
    store = S3Store(
        endpoint=s3_server.endpoint,
        bucket=f"test-{uuid4().hex[:12]}",
        access_key=s3_server.access_key,
        secret_key=s3_server.secret_key,
        create_bucket=True,
    )
    store.check()
    return store


@pytest.fixture(params=["one machine", "many"])
def service(request: pytest.FixtureRequest) -> Kept:
    """Rows and objects of one machine (SQLite, a folder), then of many (PostgreSQL, S3)."""
    if request.param == "one machine":
        store = request.getfixturevalue("local_store")
        return kept(request.getfixturevalue("sqlite_database"), store, store.folder)
    store, server = request.getfixturevalue("s3_store"), request.getfixturevalue("s3_server")
    return kept(request.getfixturevalue("postgres_database"), store, server.folder / store.bucket)


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    return request.getfixturevalue(f"{request.param}_store")
