"""One scene file to another format."""

from collections.abc import Callable
from pathlib import Path

from tasks.errors import BadOption
from tasks.gaussians.files import read_scene_bytes
from tasks.gaussians.glb import write_glb
from tasks.gaussians.model import Gaussians
from tasks.gaussians.ply import read_ply, write_ply
from tasks.gaussians.splat import write_splat
from tasks.gaussians.spz import read_spz, write_spz

Writer = Callable[[Path, Gaussians], None]
WRITERS: dict[str, Writer] = {"ply": write_ply, "spz": write_spz, "splat": write_splat, "glb": write_glb}
FORMATS = tuple(WRITERS)  # what can be written; PLY and SPZ can be read


def convert(source: Path, target: Path, to: str | None = None) -> int:
    """Write the scene in `source` to `target`.

    Args:
        source: a 3DGS PLY or an SPZ file, told apart by its content.
        target: the file to write.
        to: "ply", "spz", "splat" (no view-dependent colour) or "glb" (KHR_gaussian_splatting); None: by the target's ending.

    Returns:
        The number of Gaussians.

    Raises:
        BadOption: no such format can be written, or the target is the source.
        BadScene: the source is no scene, or the target's format can't hold it.
        DiskFull, OutputUnwritable: the target is then as it was.
    """
    name = to if to is not None else target.suffix.lower().removeprefix(".")
    writer = WRITERS.get(name)
    if writer is None:
        raise BadOption(f"{name!r} is no format that can be written; choose one of {', '.join(FORMATS)}.")
    if target.exists() and source.exists() and target.samefile(source):
        raise BadOption(f"{target} is the scene itself; give another file to write.")
    gaussians = read_scene(source)
    writer(target, gaussians)
    return len(gaussians)


def read_scene(path: Path) -> Gaussians:
    """A 3DGS PLY or an SPZ file; BadScene when it is neither or can't be read."""
    if read_scene_bytes(path, 3) == b"ply":
        return read_ply(path)
    return read_spz(path)
