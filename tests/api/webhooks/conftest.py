"""Fixtures of the webhooks' tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.database import Database
from tests.api.webhooks.world import World
from tests.support.databases import migrated_file, sqlite_database

__all__ = ["migrated_file", "sqlite_database"]


@pytest.fixture
def world(sqlite_database: Database, tmp_path: Path) -> Iterator[World]:
    """An account with a sender, which is waited for at the end."""
    world = World(sqlite_database, tmp_path)
    yield world
    assert world.sender.wait(20)
