"""Migrated, empty databases for tests, and rows to put into them.

A `conftest.py` that imports the fixtures gives them to its tests: `sqlite_database`, or `database`, which is SQLite and then
PostgreSQL.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, func, select, text
from sqlmodel import SQLModel, col

from storage import accounts, dispatching, jobs, naming
from storage.attempts import Attempt, claim
from storage.database import Database
from storage.settings import Settings
from storage.tables import DELETE, START, STOP, Job, Outbox
from tests.support.postgres import Postgres

FILES = {"ply": {"key": "jobs/x/outputs/1/scene.ply", "bytes": 3, "sha256": "0" * 64}}
ALL_KINDS = (START, STOP, DELETE)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with empty tables; migrating a copy for each test would take longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "splatflow.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture
def sqlite_database(tmp_path: Path, migrated_file: Path) -> Iterator[Database]:
    """An empty database where the settings of a data folder `tmp_path / "data"` expect it."""
    path = tmp_path / "data" / "splatflow.db"
    path.parent.mkdir()
    shutil.copyfile(migrated_file, path)
    database = Database(f"sqlite:///{path}")

    @event.listens_for(database.engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")  # no power cut is tested, and flushing takes most of the time

    yield database
    database.close()


@pytest.fixture(scope="module")
def postgres_of_module(postgres: Postgres) -> Iterator[Database]:
    database = Database(Settings(database_url=postgres.new_database()).database)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def postgres_database(postgres_of_module: Database) -> Database:
    names = ", ".join(f'"{table.name}"' for table in SQLModel.metadata.sorted_tables)
    with postgres_of_module.write() as session:
        session.connection().execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
    return postgres_of_module


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    """The same test on both."""
    return request.getfixturevalue(f"{request.param}_database")


def new_account(database: Database, **values: Any) -> UUID:
    """A new account with a key; its id."""
    _, account, _ = accounts.create_key(database, **{"name": f"account {uuid4().hex[:8]}", **values})
    return account.id


def new_job(account_id: UUID, **values: Any) -> Job:
    """A row to submit."""
    job_id = values.pop("id", None) or uuid4()
    given = {
        "title": "Fox",
        "blob_name": naming.upload_key(uuid4(), "mp4"),
        "source_key": naming.source_key(job_id, "mp4"),
        "source_bytes": 5,
        **values,
    }
    return Job(id=job_id, account_id=account_id, **given)


def submitted(database: Database, account_id: UUID, **values: Any) -> UUID:
    """A submitted job's id."""
    job = new_job(account_id, **values)
    jobs.submit(database, job, lambda row: {"job_id": str(row.id)})
    return job.id


def job_row(database: Database, job_id: UUID) -> Job:
    """A job as it is, deleted or not."""
    with database.read() as session:
        job = session.get(Job, job_id)
    assert job is not None
    return job


def outbox(database: Database, *kinds: str) -> list[Outbox]:
    """All entries, due or not, as they were asked for."""
    query = select(Outbox).where(col(Outbox.kind).in_(kinds or ALL_KINDS)).order_by(col(Outbox.id))
    with database.read() as session:
        return list(session.scalars(query))


def dispatched(database: Database, job_id: UUID) -> UUID:
    """Does the dispatcher's part for the job's attempt; the run's id."""
    run_id = uuid4()
    (entry,) = [one for one in outbox(database, START) if one.job_id == job_id]
    assert dispatching.started(database, entry, run_id)
    return run_id


def at_work(database: Database, job_id: UUID) -> Attempt:
    """Makes and claims the run of the job's attempt."""
    run_id = dispatched(database, job_id)
    return claim(database, job_id, run_id, job_row(database, job_id).attempt)


def seen(database: Database, job_id: UUID) -> dispatching.OpenJob:
    """The job as the dispatcher sees it now."""
    (job,) = [job for job in dispatching.open_jobs(database) if job.id == job_id]
    return job


def counts(database: Database) -> dict[str, int]:
    """How many rows each table has."""
    with database.read() as session:
        return {
            table.name: session.connection().execute(select(func.count()).select_from(table)).scalar_one()
            for table in SQLModel.metadata.sorted_tables
        }
