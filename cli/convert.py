"""`splatflow export`: one scene format to another."""

from collections.abc import Callable
from pathlib import Path

from tasks.errors import BadOption, BadScene
from tasks.gaussians.model import Gaussians
from tasks.gaussians.ply import read_ply, write_ply
from tasks.gaussians.spz import read_spz, write_spz

READERS: dict[str, Callable[[Path], Gaussians]] = {".ply": read_ply, ".spz": read_spz}
WRITERS: dict[str, Callable[[Path, Gaussians], None]] = {"ply": write_ply, "spz": write_spz}


def convert(scene: Path, to: str, out: Path | None) -> Path:
    """Writes `scene` in the format `to` and returns where.

    Args:
        scene: a .ply or .spz; told apart by its ending.
        to: "ply" or "spz".
        out: the file to write; beside the scene, with the new ending, when None.

    Raises:
        BadOption: an unknown format, or `out` is the scene itself.
        BadScene: the scene can't be read.
        DiskFull, OutputUnwritable: `out` can't be written; it is then as it was.
    """
    reader = READERS.get(scene.suffix.lower())
    if reader is None:
        raise BadScene(f"{scene} is neither a .ply nor a .spz; give the scene.ply or scene.spz of a result.")
    if to not in WRITERS:
        raise BadOption(f"--to is {to!r}; choose one of {', '.join(WRITERS)}.")
    target = out if out is not None else scene.with_suffix(f".{to}")
    if target.resolve() == scene.resolve():
        raise BadOption(f"{scene} is a .{to} already; give another file with --out.")
    WRITERS[to](target, reader(scene))
    return target
