"""Stand-in steps, run in processes of their own."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.errors import NotAVideo

Progress = Callable[[int, int, str], None]
DONE = 4


def good(out: Path, progress: Progress) -> dict[str, Any]:
    """Writes everything a step may write, what is not kept included."""
    (out / "previews").mkdir(parents=True)
    (out / "previews" / "step_1.jpg").write_bytes(b"preview")
    (out / "checkpoint.pt").write_bytes(b"half")
    (out / "colmap").mkdir()
    (out / "colmap" / "points.bin").write_bytes(bytes(range(256)))
    for done in range(1, DONE + 1):
        progress(done, DONE, "counting")
    return {"frames": 3, "warnings": ["Dark."], "threads": os.environ.get("STAND_IN")}


def killed_once(out: Path, progress: Progress) -> dict[str, Any]:
    """The first call leaves a checkpoint and is killed; the second goes on from it."""
    checkpoint = out / "checkpoint.pt"
    if checkpoint.is_file():
        return {"resumed": checkpoint.read_text()}
    out.mkdir()
    checkpoint.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def fails_once(out: Path, progress: Progress, flag: Path) -> dict[str, Any]:
    """The first call leaves a file without a checkpoint, and fails."""
    assert not out.exists(), "what a failed call left is in the way"
    out.mkdir()
    (out / "rest.txt").write_text("x")
    if not flag.exists():
        flag.touch()
        raise NotAVideo("This is no video; give another one.")
    return {}


def counts_calls(out: Path, progress: Progress, calls: Path) -> dict[str, Any]:
    """Says that it was called, and takes its time."""
    with calls.open("a") as file:
        file.write("x")
    out.mkdir(parents=True)
    for done in range(DONE):
        progress(done, DONE, "counting")
        time.sleep(0.1)
    (out / "points").write_bytes(b"points")
    return {"points": 1}


def silent(out: Path, progress: Progress, pid_file: Path) -> None:
    """Says nothing for a long time, and can't be asked to stop."""
    pid_file.write_text(str(os.getpid()))
    time.sleep(300)


def chatty(out: Path, progress: Progress) -> None:
    """Reports for a long time."""
    for done in range(30_000):
        progress(done, 30_000, "on and on")
        time.sleep(0.01)
