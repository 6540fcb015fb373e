"""The engine, transactions and migrations. SQLite in WAL mode by default, PostgreSQL by URL."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlmodel import Session

from storage.settings import settings
from tasks.errors import BadOption, TransientError

BUSY_SECONDS = 30.0
POOL_SIZE = 20
MIGRATIONS = Path(__file__).parent / "migrations"


class DatabaseUnavailable(TransientError):
    """The database can't be reached now."""

    slug = "database_unavailable"


class Database:
    """One database. Connections are made when first needed.

    Args:
        url: an SQLAlchemy URL, `sqlite:///...` or `postgresql+psycopg://...`.

    Raises:
        BadOption: no driver for this URL is installed, or it is no URL.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = sqlalchemy.make_url(url)
            self.sqlite = parsed.get_backend_name() == "sqlite"
            if self.sqlite and parsed.database and parsed.database != ":memory:":
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            options: dict[str, Any] = (
                {"connect_args": {"timeout": BUSY_SECONDS, "check_same_thread": False}}
                if self.sqlite
                else {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10}}
            )
            self.engine = sqlalchemy.create_engine(url, pool_size=POOL_SIZE, max_overflow=POOL_SIZE, **options)
        except ModuleNotFoundError as error:
            raise BadOption(f"The database driver {error.name} is missing; install splatflow[postgres].") from None
        except (ArgumentError, NoSuchModuleError):
            raise BadOption(
                "SPLATFLOW_DATABASE_URL is no database URL; use sqlite:///FILE or postgresql://..."
            ) from None
        # SQLite lets one write at a time and has the others ask again after pauses, without any order: a few threads that write at
        # once make some wait for seconds (measured, 8 threads: 99 of 100 within 0.2-0.5 s with this lock, 1.4-2.3 s without).
        self._writing = threading.Lock() if self.sqlite else None
        if self.sqlite:
            _tune_sqlite(self.engine)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading; nothing is committed.

        Raises:
            DatabaseUnavailable: no connection, or the database is locked for too long.
        """
        with _known_errors(), Session(self.engine) as session:
            yield session

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """For reading rows without a session, which costs more than a small query does.

        Raises:
            DatabaseUnavailable: as `read`.
        """
        with _known_errors(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session for writing: committed when the block ends well, else rolled back.

        On SQLite it takes the write lock at once: a transaction that read first could not get it later.

        Raises:
            DatabaseUnavailable
        """
        with self._turn(), _known_errors(), Session(self.engine, expire_on_commit=False) as session:
            if self.sqlite:
                session.connection().exec_driver_sql("BEGIN IMMEDIATE")
            yield session
            session.commit()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._writing is None:
            yield
            return
        if not self._writing.acquire(timeout=BUSY_SECONDS):
            raise DatabaseUnavailable("The database is busy with other writes.")
        try:
            yield
        finally:
            self._writing.release()

    def check(self) -> None:
        """Raises DatabaseUnavailable when a simple query fails."""
        with self.read() as session:
            session.connection().execute(text("SELECT 1"))

    def migrate(self) -> None:
        """Brings the tables up to this version of the code; two processes may call it at once."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with _known_errors(), self.engine.connect() as connection:
            if self.sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(text("SELECT pg_advisory_xact_lock(7337001)"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()


@lru_cache(maxsize=1)
def database() -> Database:
    """The database of this process's settings."""
    return Database(settings().database)


@contextmanager
def _known_errors() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        # Without the statement and its parameters: they may hold what belongs into no log.
        raise DatabaseUnavailable(f"The database can't be used now ({type(error.orig).__name__}).") from None
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable("The connection to the database was lost.") from None
        raise


def _tune_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        # Transactions are begun by us (see `write`), not by the driver at some later statement.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # an accepted job survives a power cut
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")
        cursor.close()
