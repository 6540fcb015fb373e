"""Names for results."""

from pathlib import Path

GENERIC = {"video", "movie", "clip0001", "input", "output", "images", "photos", "frames", "capture"}


def default_out(source: Path) -> Path:
    """`out/<name>`: the input's name without its ending, or its folder's where that says more (fox/video.mp4)."""
    path = Path(source).absolute()
    name = path.name if path.is_dir() else path.stem
    if name.lower() in GENERIC and path.parent.name:
        name = path.parent.name
    return Path("out") / (name or "scene")
