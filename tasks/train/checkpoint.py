"""A training run on disk: enough to go on as if it had never stopped, bit for bit."""

import os
from pathlib import Path
from typing import Any

import torch

FILE = "checkpoint.pt"
VERSION = 1


def save_checkpoint(folder: Path, key: str, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists) so that a crash leaves the old checkpoint or the new one, never a half."""
    partial = folder / f"{FILE}.partial"
    with partial.open("wb") as file:
        torch.save({"version": VERSION, "key": key, "state": state}, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / FILE)


def load_checkpoint(folder: Path, key: str) -> dict[str, Any] | None:
    """The state saved under `key`, or None when there is none, it belongs to other options or input, or it can't be read."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError):
        return None  # damaged: beginning anew is right, and all that can be done
    if not isinstance(saved, dict) or saved.get("version") != VERSION or saved.get("key") != key:
        return None
    return saved["state"]
