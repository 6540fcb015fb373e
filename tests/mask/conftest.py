"""A model's file that needs no download."""

from pathlib import Path

import pytest

from tests.mask.onnx_bytes import bright_is_subject


@pytest.fixture(scope="session")
def bright_model(tmp_path_factory) -> Path:
    """Under u2netp's name, a network that takes what is bright for the subject."""
    path = tmp_path_factory.mktemp("home") / "u2netp.onnx"
    path.write_bytes(bright_is_subject())
    return path
