"""The work folder of a job on one machine, which several attempts may touch at once: a frozen one may wake while another works.

<step>/<digest>                  the output of a finished step
<step>/<digest>.json             what the step returned; there only when the output is whole
<step>/<digest>.<attempt>.part   an attempt's half-made output, with the checkpoint of a training
<step>/<digest>.<attempt>.*      a file on its way from or to the store
logs/<step>.log                  what the step's libraries printed
"""

import json
import shutil
from pathlib import Path
from typing import Any

CHECKPOINT = "checkpoint.pt"
NOT_KEPT = ("previews", CHECKPOINT)


def checkpoint_here(folder: Path) -> int:
    """Which attempt left the newest checkpoint of the output `folder` on this machine; 0: there is none."""
    parts = folder.parent.glob(f"{folder.name}.*.part")
    return max((_attempt_of(part) for part in parts if (part / CHECKPOINT).is_file()), default=0)


def half_made(folder: Path, attempt: int) -> Path:
    """Where an attempt makes the output `folder`: empty, or with the newest checkpoint that any attempt left here."""
    part = folder.with_name(f"{folder.name}.{attempt}.part")
    others = [path for path in folder.parent.glob(f"{folder.name}.*.part") if path != part]
    if not (part / CHECKPOINT).is_file():
        shutil.rmtree(part, ignore_errors=True)
        for other in sorted(others, key=_attempt_of, reverse=True):
            if (other / CHECKPOINT).is_file():
                part.mkdir(parents=True)
                (other / CHECKPOINT).replace(part / CHECKPOINT)
                break
    for other in others:
        shutil.rmtree(other, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    return part


def keep(part: Path, folder: Path, told: dict[str, Any]) -> None:
    """Makes a whole, half-made output the finished one, with what its step returned.

    Raises:
        OSError
    """
    for name in NOT_KEPT:
        leftover = part / name
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
    _told(folder).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    draft = part.with_name(f"{part.name}.json")
    draft.write_text(json.dumps(told))
    draft.replace(_told(folder))


def kept(folder: Path) -> dict[str, Any] | None:
    """What the step of a finished output returned; None when there is no whole output."""
    try:
        return json.loads(_told(folder).read_text()) if folder.is_dir() else None
    except (OSError, ValueError):
        return None


def _told(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.json")


def _attempt_of(part: Path) -> int:
    number = part.name.split(".")[-2]
    return int(number) if number.isdigit() else 0
