"""What identifies a step's output: its inputs' content, its options and the code that made it, as one SHA-256.

A finished step may be used again exactly when its digest is unchanged. Content counts, not names or times of files: a
clip that was edited in place is noticed, and one that was only copied is not.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1 << 20
STEPS = ("extract", "mask", "sfm", "scale", "train", "mesh", "turntable", "export")
SHARED_ROOMS = ("geometry", "gaussians")
# what the code of a step calls besides
BORROWED_ROOMS = {"scale": ("tags",), "mesh": ("train",), "turntable": ("train",)}
LIBRARIES = {
    "extract": ("av", "numpy", "opencv-python-headless", "pillow", "pi-heif"),
    "sfm": ("pycolmap", "numpy", "scipy", "opencv-python-headless"),
    "mask": ("rembg", "onnxruntime", "numpy", "opencv-python-headless"),
    "scale": ("pupil-apriltags", "pycolmap", "numpy", "scipy"),
    "train": ("torch", "numpy", "scipy"),
    "mesh": ("torch", "numpy", "open3d-cpu", "open3d", "trimesh"),
    "turntable": ("torch", "numpy", "scipy", "av", "opencv-python-headless"),
}
SERVICE_SOURCE = "task.py"  # how a step is called by the service; decides nothing about its output
SOURCE_SUFFIXES = {".py", ".cpp", ".h", ".inl", ".cu", ".so"}


def of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def of_input(path: Path) -> str:
    """SHA-256 of a file, or of a folder: the names of its files, relative to it, with their contents."""
    if not path.is_dir():
        return of_file(path)
    return of_json({str(p.relative_to(path)): of_file(p) for p in _files_below(path)})


def of_folder_parts(folder: Path, parts: Iterable[str]) -> str:
    """SHA-256 of the named sub-folders of `folder` only; what lies beside them doesn't count."""
    return of_json({part: of_input(folder / part) for part in parts if (folder / part).exists()})


def of_json(value: Any) -> str:
    """SHA-256 of a value of JSON types and dataclasses; the order of keys doesn't count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=_plain).encode()).hexdigest()


def of_code(step: str) -> str:
    """SHA-256 of the step's own sources, of the rooms that it shares, and the versions of its libraries."""
    root = Path(str(resources.files("tasks")))
    rooms = [root / room for room in (step, *SHARED_ROOMS, *BORROWED_ROOMS.get(step, ()))]
    sources = {
        str(p.relative_to(root)): of_file(p)
        for room in rooms
        for p in _files_below(room)
        if p.suffix in SOURCE_SUFFIXES and p.name != SERVICE_SOURCE
    }
    return of_json({"sources": sources, "libraries": {name: _version(name) for name in LIBRARIES.get(step, ())}})


def of_pipeline() -> str:
    """The version of the pipeline, 16 hex digits: of the code of all steps, so what a result was made by, whatever its options."""
    return of_json({step: of_code(step) for step in STEPS})[:16]


def of_step(step: str, inputs: str, options: Any) -> str:
    """The digest of a step's output."""
    return of_json({"step": step, "inputs": inputs, "options": options, "code": of_code(step)})


def _files_below(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "none"
