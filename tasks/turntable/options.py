"""What the turntable step may be told, and what it reports."""

import math
from dataclasses import dataclass
from typing import Literal

from tasks.errors import BadOption

Kind = Literal["orbit", "sway"]
PATHS = ("auto", "orbit", "sway")


@dataclass(frozen=True, kw_only=True)
class TurntableOptions:
    """Options of the turntable step.

    Raises BadOption when a value is out of its range.
    """

    seconds: float = 6.0  # of the video, which is one round
    side_px: int = 960  # long side
    fps: int = 30
    path: Literal["auto", "orbit", "sway"] = "auto"  # auto: an orbit where the cameras surround what they look at
    device: Literal["auto", "cpu", "cuda"] = "auto"  # where frames are rendered; encoding is on the CPU
    threads: int | None = None  # None: every core this process may use

    def __post_init__(self) -> None:
        ranges = {"seconds": (self.seconds, 1, 60), "side-px": (self.side_px, 160, 1_920), "fps": (self.fps, 24, 60)}
        for name, (value, low, high) in ranges.items():
            if not (math.isfinite(value) and low <= value <= high):
                raise BadOption(f"turntable {name} must lie between {low:,} and {high:,}, not {value}.")
        if self.path not in PATHS:
            raise BadOption(f"turntable path must be one of {', '.join(PATHS)}, not {self.path!r}.")
        if self.device not in ("auto", "cpu", "cuda"):
            raise BadOption(f"device must be auto, cpu or cuda, not {self.device!r}.")
        if self.threads is not None and self.threads < 1:
            raise BadOption(f"threads must be at least 1, not {self.threads}.")

    @property
    def frames(self) -> int:
        """How many frames the video has."""
        return round(self.seconds * self.fps)


@dataclass(frozen=True, kw_only=True)
class TurntableRecord:
    """The video that was made.

    Attributes:
        path: what `auto` chose, or what was asked for.
        reach_deg: how far the path goes to the sides of the framing's view, seen from the look-at point: 360 for an orbit.
        aside: the path's farthest distance from the nearest camera that filmed the look-at point, in parts of the distance to it.
        frames, fps, seconds: of the video.
        width, height: in pixels, both even.
        codec: the encoder's name.
        bytes: of turntable.mp4.
        masked: the subject is alone, on the neutral ground.
        render_seconds: that rendering took, without encoding.
        made_in_seconds: that the whole step took.
        peak_memory_bytes: largest resident memory of this process.
    """

    path: Kind
    reach_deg: float
    aside: float
    frames: int
    fps: int
    seconds: float
    width: int
    height: int
    codec: str
    bytes: int
    masked: bool
    render_seconds: float
    made_in_seconds: float
    peak_memory_bytes: int
    warnings: tuple[str, ...]
