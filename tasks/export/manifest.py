"""Sizes and digests of the files of a result."""

import hashlib
from pathlib import Path
from typing import Any

SINGLE = ("scene.ply", "scene.spz", "preview.jpg", "camera.json", "views.zip")
OPTIONAL = ("mesh.glb", "turntable.mp4", "poster.jpg")


def manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """By name: `{bytes, sha256}` of each file, `{bytes, files}` of images/ and masks/, and colmap/ with each of its files."""
    found = {name: entry(folder / name) for name in SINGLE}
    found.update({name: entry(folder / name) for name in OPTIONAL if (folder / name).is_file()})
    for name in ("images/", "masks/"):
        pictures = [path for path in (folder / name).rglob("*") if path.is_file()]
        if pictures:
            found[name] = {"bytes": sum(path.stat().st_size for path in pictures), "files": len(pictures)}
    for path in sorted((folder / "colmap").iterdir()):
        found[f"colmap/{path.name}"] = entry(path)
    return found


def entry(path: Path) -> dict[str, Any]:
    """`{bytes, sha256}` of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}
