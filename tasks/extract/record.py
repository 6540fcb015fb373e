"""What the extract step returns and what it passes between its own modules."""

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class ExtractRecord:
    """Counts of one extract; the details are in `extract.json`."""

    frames_seen: int  # decoded frames, or photos read
    frames_kept: int
    width: int  # of the written frames, px; of the first one for photos
    height: int
    fps: float  # of the source by its timestamps; 0 for photos
    duration_s: float  # 0 for photos
    ordered: bool  # True: neighbours in name are neighbours in time (video)
    warnings: tuple[str, ...]
