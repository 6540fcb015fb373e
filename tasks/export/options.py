"""What the export step is told about the steps before it, and what it returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class ReportContext:
    """What only the caller knows and the report says. Everything is JSON types; values that aren't finite become null.

    Attributes:
        source: name of what the client gave (not its path).
        extract: `extract.json`, or None when the run began with posed images.
        sfm: `sfm.json`; None: read from the posed folder, where it may be absent.
        train: `train.json`; None: read from the trained folder.
        stages: by step, `{"seconds": ..., "peak_memory_bytes": ..., "reused": ...}` of the steps that were run, also of
            those that an earlier run did; export adds its own.
        peak_memory_bytes: of all steps before; None: the largest in `stages`. Export's own is taken into account.
        warnings: sentences beyond those that the steps themselves recorded.
        versions: of this software and the libraries that matter, by name.
        preset: name of the preset.
        options: in force, by name.
        machine: what it ran on: cpu, cores, memory_bytes, gpu, platform; shown as given.
    """

    source: str
    extract: Mapping[str, Any] | None = None
    sfm: Mapping[str, Any] | None = None
    train: Mapping[str, Any] | None = None
    stages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    peak_memory_bytes: int | None = None
    warnings: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    preset: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Extras:
    """Folders of the steps that were run besides the usual ones; None: that step wasn't.

    Attributes:
        mask: with mask.json.
        scale: with scale.json.
        mesh: with mesh.json and, when there was a surface to find, mesh.glb.
        turntable: with turntable.json, turntable.mp4 and poster.jpg.
    """

    mask: Path | None = None
    scale: Path | None = None
    mesh: Path | None = None
    turntable: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ExportRecord:
    """What was exported; the details are in `report.json`.

    Attributes:
        num_gaussians: in the scene.
        images: views in `images/`.
        files_bytes: size by file of the result folder, `images/` and `colmap/` as one each.
        seconds: that the export took.
        warnings: all of the report's.
    """

    num_gaussians: int
    images: int
    files_bytes: dict[str, int]
    seconds: float
    warnings: tuple[str, ...]
