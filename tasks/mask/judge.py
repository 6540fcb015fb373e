"""Masks that can't be right, or may not be what was meant: refused, or said."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks.errors import NoSubject

MIN_COVERAGE = 0.003  # part of the frame under which there is no subject in it
MIN_FRAMES = 3  # with a subject, that a scene needs
MIN_SHARE = 0.1  # of the frames that must show it
FEW_SHARE = 0.9  # of the frames under which it's said
FULL_COVERAGE = 0.85  # mean part of the frame above which hardly anything is background
MANY_MENDED = 0.3


def has_subject(alpha: np.ndarray) -> bool:
    """Whether an (H, W) uint8 alpha shows anything."""
    return float((alpha >= 128).mean()) >= MIN_COVERAGE


def require_subject(maps: Sequence[np.ndarray]) -> None:
    """Raises NoSubject unless enough of the (h, w) uint8 maps show something."""
    shown = sum(has_subject(values) for values in maps)
    if shown < max(min(MIN_FRAMES, len(maps)), MIN_SHARE * len(maps)):
        found = "in none of the frames" if not shown else f"in {shown} of {len(maps)} frames only"
        raise NoSubject(
            f"A subject was found {found}, so removing the background would leave nothing; keep one thing in the middle of the "
            "view, clear of others like it, or leave the background in."
        )


def warnings_about(frames: Sequence[dict[str, Any]]) -> list[str]:
    """Sentences about doubtful masks.

    Args:
        frames: dicts with coverage, subject, mended of each frame, and its name.
    """
    said = []
    shown = [frame for frame in frames if frame["subject"]]
    if len(shown) < FEW_SHARE * len(frames):
        without = [str(frame["name"]) for frame in frames if not frame["subject"]]
        listed = ", ".join(without[:6]) + (f" and {len(without) - 6} more" if len(without) > 6 else "")
        said.append(
            f"The subject was found in {len(shown)} of {len(frames)} frames only, not in {listed}; what only these show is lost. "
            "Keep it in view, or use a larger mask model."
        )
    coverage = float(np.mean([frame["coverage"] for frame in shown])) if shown else 0.0
    if coverage > FULL_COVERAGE:
        said.append(
            f"The subject fills {coverage:.0%} of the frames, so hardly any background was found; film from further away, or "
            "leave the background in."
        )
    mended = sum(frame["mended"] for frame in frames)
    if mended > MANY_MENDED * len(frames):
        said.append(
            f"The masks of {mended} of {len(frames)} frames were mended from their neighbours, so their edges may be off; a "
            "larger mask model would find the subject more steadily."
        )
    return said
