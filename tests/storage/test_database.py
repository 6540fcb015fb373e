"""The database: migrations that fit the models, several processes at once, times in UTC, errors that tell no secret."""

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text
from sqlmodel import SQLModel, col

from storage import uploads
from storage.database import Database, DatabaseUnavailable
from storage.settings import Settings
from storage.tables import Account, Upload
from tasks.errors import BadOption
from tests.support.databases import counts, job_row, new_account, submitted
from tests.support.postgres import ZONE, Postgres

MIGRATE = "import sys; from storage.database import Database; Database(sys.argv[1]).migrate()"


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'splatflow.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return Settings(database_url=server.new_database()).database


def test_migrations_make_what_the_models_say(database: Database):
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_four_processes_migrate_a_new_database_at_once(empty_url: str):
    processes = [
        subprocess.Popen([sys.executable, "-c", MIGRATE, empty_url], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    database = Database(empty_url)
    assert set(counts(database).values()) == {0}
    database.close()


def test_migrating_again_keeps_the_rows(database: Database):
    job_id = submitted(database, new_account(database))
    before = job_row(database, job_id).model_dump()
    database.migrate()
    assert job_row(database, job_id).model_dump() == before


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-7))])
def test_times_come_back_in_utc(database: Database, zone: timezone):
    moment = datetime(2026, 3, 29, 1, 30, 15, 123456, tzinfo=zone)
    with database.write() as session:
        session.add(Account(name="a", created_at=moment))
    with database.read() as session:
        back = session.connection().execute(select(col(Account.created_at))).scalar_one()
    assert back == moment
    assert back.utcoffset() == timedelta(0)


def test_the_server_of_these_tests_is_not_in_utc(postgres_database: Database):
    with postgres_database.read() as session:
        assert session.connection().execute(text("SHOW timezone")).scalar_one() == ZONE


def test_a_block_that_raises_leaves_nothing(database: Database):
    def fails() -> None:
        with database.write() as session:
            session.add(Account(name="a"))
            session.flush()
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fails()
    assert counts(database)["account"] == 0


def test_readers_do_not_wait_for_a_writer(database: Database):
    new_account(database)
    with database.write() as session:
        session.add(Account(name="b"))
        session.flush()
        done: list[int] = []
        reader = threading.Thread(target=lambda: done.append(counts(database)["account"]))
        reader.start()
        reader.join(timeout=10)
        assert done == [1]


def test_sqlite_writes_are_durable_and_do_not_block_readers(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with database.read() as session:
        ask = session.connection().exec_driver_sql
        assert ask("PRAGMA journal_mode").scalar_one() == "wal"
        assert ask("PRAGMA synchronous").scalar_one() == 2
        assert ask("PRAGMA foreign_keys").scalar_one() == 1
    database.close()


def test_a_server_that_is_away_is_told_without_the_password():
    database = Database(Settings(database_url="postgresql://someone:pa55word@127.0.0.1:9/x").database)
    with pytest.raises(DatabaseUnavailable) as told:
        database.check()
    assert "pa55word" not in str(told.value) + repr(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__


def test_a_cut_connection_is_told_as_unavailable_and_the_next_call_works(postgres_database: Database):
    def cut() -> None:
        with postgres_database.write() as session:
            pid = session.connection().execute(text("SELECT pg_backend_pid()")).scalar_one()
            with postgres_database.read() as other:
                other.connection().execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            session.connection().execute(text("SELECT 1"))

    with pytest.raises(DatabaseUnavailable):
        cut()
    postgres_database.check()


def test_a_folder_that_cannot_be_a_database_is_told(tmp_path: Path):
    with pytest.raises(DatabaseUnavailable):
        Database(f"sqlite:///{tmp_path}").check()


@pytest.mark.parametrize("url", ["nonsense", "oracle+nothing://x/y"])
def test_what_is_no_url_is_an_option_to_mend(url: str):
    with pytest.raises(BadOption, match=r"SPLATFLOW_DATABASE_URL|driver"):
        Database(url)


def test_uploads_belong_to_who_asked_and_close_at_submit(database: Database):
    mine, other = new_account(database), new_account(database)
    upload = uploads.create(database, mine, "mp4", seconds=60)
    assert isinstance(uploads.get(database, mine, upload.blob_name), Upload)
    assert uploads.get(database, other, upload.blob_name) is None
    assert uploads.get(database, mine, "videos/none.mp4") is None
    assert uploads.is_open(database, upload.blob_name)
    assert not uploads.is_open(database, "videos/none.mp4")
    submitted(database, mine, blob_name=upload.blob_name)
    assert not uploads.is_open(database, upload.blob_name)
