"""Logs of parts: one file each, the last few megabytes kept."""

import shutil
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 10 << 20
KEPT = 3


def rotate(log: Path) -> None:
    """Moves a log's content to `<log>.1` once it is large, and what was there further on.

    The file itself is copied and emptied, since a part that is at work holds it open (for appending).
    """
    with suppress(OSError):
        if log.stat().st_size <= MAX_BYTES:
            return
        for number in range(KEPT, 1, -1):
            older = log.with_name(f"{log.name}.{number - 1}")
            if older.exists():
                older.replace(log.with_name(f"{log.name}.{number}"))
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        with log.open("r+b") as file:
            file.truncate(0)


def tail(log: Path, *, begin: int = 0, lines: int = 15) -> str:
    """The last lines that were written after the byte `begin`; "" when there are none."""
    with suppress(OSError), log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(begin if begin <= size else 0, size - 16_384))
        text = file.read().decode(errors="replace")
        return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])
    return ""
