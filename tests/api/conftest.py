import pytest
from sqlmodel import SQLModel

from storage.database import Database
from tests.api.site import Site, new_site


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """A database file with all tables and no rows, to be copied."""
    path = tmp_path_factory.mktemp("database") / "empty.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    with database.read() as session:
        names = session.connection().exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars()
        assert set(SQLModel.metadata.tables) <= set(names)
    database.close()
    return path


@pytest.fixture
def site(tmp_path, empty_database):
    made: Site = new_site(tmp_path, empty_database)
    yield made
    made.close()
