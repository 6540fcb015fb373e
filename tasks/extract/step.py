"""The extract step: a video, a folder of photos or a zip of photos to upright sRGB frames."""

import json
from pathlib import Path
from typing import Any

from tasks.errors import NotAVideo
from tasks.extract.options import ExtractOptions
from tasks.extract.output import MARKER, new_folder, writing
from tasks.extract.record import ExtractRecord, Progress


def extract(source: Path, out: Path, options: ExtractOptions, progress: Progress) -> ExtractRecord:
    """Write `out/frames/*.jpg` (upright, 8-bit sRGB, names sort in time order) and `out/extract.json`.

    `source` is a video file, a folder of photos or a zip of photos, told apart by content. `out` appears whole or not
    at all. `progress(done, total, message)` is called often and may raise to stop.

    Raises: the classes below `MediaError`, `PhotoError`, `CaptureError`; DiskFull, OutputUnwritable.
    """
    source = Path(source)
    if not source.exists():
        raise NotAVideo(f"There is no file {source}; check the path.")
    if not source.is_dir() and not source.is_file():
        raise NotAVideo(f"{source} is not an ordinary file; give a video file, a folder of photos or a zip.")
    with new_folder(Path(out)) as folder:
        report = _extract(source, folder, options, progress)
        with writing(folder):
            (folder / MARKER).write_text(json.dumps(report, indent=1, allow_nan=False), encoding="utf-8")
    return ExtractRecord(
        frames_seen=report["frames_seen"],
        frames_kept=report["frames_kept"],
        width=report["width"],
        height=report["height"],
        fps=report["fps"],
        duration_s=report["duration_s"],
        ordered=report["ordered"],
        warnings=tuple(report["warnings"]),
    )


def _extract(source: Path, folder: Path, options: ExtractOptions, progress: Progress) -> dict[str, Any]:
    # Imported late: each branch loads the libraries of one kind of input.
    if source.is_dir():
        from tasks.extract.photos import extract_folder

        return extract_folder(source, folder, options, progress)
    if _is_zip(source):
        from tasks.extract.photos import extract_archive

        return extract_archive(source, folder, options, progress)
    from tasks.extract.video import extract_video

    return extract_video(source, folder, options, progress)


def _is_zip(source: Path) -> bool:
    """A zip's signature at the start; or its name, so that a damaged zip is refused as what it was meant to be."""
    with source.open("rb") as file:
        head = file.read(4)
    return head in (b"PK\x03\x04", b"PK\x05\x06") or source.suffix.lower() == ".zip"
