"""What the mesh step may be told, and what it reports."""

import math
from dataclasses import dataclass
from typing import Literal

from tasks.errors import BadOption


@dataclass(frozen=True, kw_only=True)
class MeshOptions:
    """Options of the mesh step. Sizes are relative, so that they mean the same in metres and in the scene's own unit.

    Raises BadOption when a value is out of its range.
    """

    max_faces: int = 200_000
    voxels_along_side: int = 400  # of the long side of what is meshed; fewer where the views show less detail
    render_side_px: int = 800  # long side of the depth maps
    max_views: int = 120  # an even choice of the training views; more add time, hardly detail
    min_component_part: float = 0.02  # pieces with less than this part of the largest piece's area are dropped
    max_grid_mb: int = 1_500  # of voxels; they get larger until they fit
    device: Literal["auto", "cpu", "cuda"] = "auto"  # where depth is rendered; fusing is on the CPU
    threads: int | None = None  # None: every core this process may use

    def __post_init__(self) -> None:
        ranges = {
            "max_faces": (self.max_faces, 100, 20_000_000),
            "voxels_along_side": (self.voxels_along_side, 32, 2_048),
            "render_side_px": (self.render_side_px, 64, 4_096),
            "max_views": (self.max_views, 3, 10_000),
            "min_component_part": (self.min_component_part, 0, 1),
            "max_grid_mb": (self.max_grid_mb, 64, 65_536),
        }
        for name, (value, low, high) in ranges.items():
            if not (math.isfinite(value) and low <= value <= high):
                raise BadOption(f"mesh {name.replace('_', '-')} must lie between {low:,} and {high:,}, not {value}.")
        if self.device not in ("auto", "cpu", "cuda"):
            raise BadOption(f"device must be auto, cpu or cuda, not {self.device!r}.")
        if self.threads is not None and self.threads < 1:
            raise BadOption(f"threads must be at least 1, not {self.threads}.")


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Relative differences of depth (no unit): median and 95th percentile over the pixels that both sides show.

    Attributes:
        median, p95: of |a - b| / b.
        coverage: part of the pixels with a depth in b, within what is meshed, where a has one too.
        views: how many views were compared.
    """

    median: float
    p95: float
    coverage: float
    views: int


@dataclass(frozen=True, kw_only=True)
class MeshRecord:
    """What the mesh came to; no faces, and None for what is of them, where there was no surface. Lengths are in `unit`.

    Attributes:
        unit: "m" when the scene's scale is known, otherwise "scene": the scene's own unit.
        extent: of the mesh's bounding box along x, y, z.
        between_views: splats' depth in one view against their depth in its neighbours.
        held_out: the mesh's depth against the splats' in views that weren't fused; None where there are no such views.
        masked: only the subject's depth was fused.
    """

    vertices: int
    faces: int
    unit: Literal["m", "scene"]
    voxel_size: float | None
    extent: tuple[float, float, float]
    views: int
    masked: bool
    components_dropped: int
    between_views: Agreement | None
    held_out: Agreement | None
    bytes: int
    seconds: float
    warnings: tuple[str, ...]
