"""`splatflow export`: one scene format to another."""

from pathlib import Path

from tasks.export import convert as step


def convert(scene: Path, to: str, out: Path | None) -> Path:
    """Writes `scene` in the format `to` and returns where.

    Args:
        scene: a 3DGS PLY or an SPZ; told apart by its content.
        to: one of `tasks.export.convert.FORMATS`.
        out: the file to write; beside the scene, with the new ending, when None.

    Raises:
        BadOption: an unknown format, or `out` is the scene itself.
        BadScene: the scene can't be read.
        DiskFull, OutputUnwritable: `out` can't be written; it is then as it was.
    """
    target = out if out is not None else scene.with_suffix(f".{to}")
    step.convert(scene, target, to)
    return target
