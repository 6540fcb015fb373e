"""Fixtures for the whole suite."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real captures beside the checkout; skips with the reason where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real captures not found: put them in ../shared/data to run this test")
    return SHARED_DATA
