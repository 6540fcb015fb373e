"""The folder that the extract step wrote, read and checked."""

import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tasks.errors import TooFewFrames

MIN_FRAMES = 3


@dataclass(frozen=True, kw_only=True)
class Capture:
    """Frames of one clip, or photos.

    Attributes:
        folder: where the frames lie.
        names: file names, sorted; in time order when `ordered`.
        ordered: a video, so that neighbours in the list overlap.
        sizes: (width, height) of each frame in pixels.
        focals_px: focal length by EXIF of each frame in its pixels, None where unknown.
    """

    folder: Path
    names: tuple[str, ...]
    ordered: bool
    sizes: tuple[tuple[int, int], ...]
    focals_px: tuple[float | None, ...]

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> Path:
        return self.folder / self.names[index]

    @property
    def cameras(self) -> tuple[int, ...]:
        """Which camera each frame was taken with, from 0: frames of one size and (nearly) one focal length share one."""
        keys = [
            (size, None if focal is None else round(focal / max(size), 2))
            for size, focal in zip(self.sizes, self.focals_px, strict=True)
        ]
        order = list(dict.fromkeys(keys))
        return tuple(order.index(key) for key in keys)


def read_capture(extracted: Path) -> Capture:
    """Read `frames/` and `extract.json`.

    Raises:
        TooFewFrames: under three frames.
    """
    facts = json.loads((extracted / "extract.json").read_text())
    folder = extracted / "frames"
    names = tuple(sorted(p.name for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png")))
    if len(names) < MIN_FRAMES:
        raise TooFewFrames(
            f"Only {len(names)} usable frame(s) were found and a scene needs at least {MIN_FRAMES}, "
            "better 30 or more; record a longer clip while walking around the subject."
        )
    sizes = []
    for name in names:
        with Image.open(folder / name) as image:
            sizes.append(image.size)
    given = facts.get("focal_px") or {}
    focals = tuple(float(given[name]) if given.get(name) else None for name in names)
    return Capture(
        folder=folder, names=names, ordered=bool(facts.get("ordered", True)), sizes=tuple(sizes), focals_px=focals
    )
