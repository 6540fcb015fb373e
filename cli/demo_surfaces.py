"""Surfaces covered with flat Gaussians, one per cell of their parameter grid."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]
Texture = Callable[[Array, Array, int], Array]
DIFFERENCE = 1e-4
OVERLAP = 0.55  # standard deviation in cells: neighbours melt into one another, detail of two cells is kept
THICKNESS = 0.05  # in cells


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A piece of surface.

    Attributes:
        place: (s, t) in [0, 1], each (N,), to points (N, 3) in the world. Right-handed: ds x dt points outwards.
        texture: albedo of surface coordinates in scene units.
        size: lengths along s and t, in scene units.
        spacing: distance of neighbouring Gaussians, in scene units.
        seed: of the texture.
        keep: which (s, t) belong to the surface; all when None.
        centre: texture coordinates begin in the middle of the patch instead of at its corner.
    """

    place: Callable[[Array, Array], Array]
    texture: Texture
    size: tuple[float, float]
    spacing: float
    seed: int
    keep: Callable[[Array, Array], NDArray[np.bool_]] | None = None
    centre: bool = False


@dataclass(frozen=True, kw_only=True)
class Cover:
    """Gaussians on surfaces: means (N, 3), quats (N, 4) wxyz, scales (N, 3) linear, albedo (N, 3), normals (N, 3)."""

    means: Array
    quats: Array
    scales: Array
    albedo: Array
    normals: Array


def cover(patch: Patch) -> Cover:
    """Lays one Gaussian on each cell of the patch."""
    columns, rows = (max(2, round(length / patch.spacing)) for length in patch.size)
    s, t = (a.ravel() for a in np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows))
    if patch.keep is not None:
        inside = patch.keep(s, t)
        s, t = s[inside], t[inside]
    along_s = (patch.place(s + DIFFERENCE, t) - patch.place(s - DIFFERENCE, t)) / (2 * DIFFERENCE)
    along_t = (patch.place(s, t + DIFFERENCE) - patch.place(s, t - DIFFERENCE)) / (2 * DIFFERENCE)
    normal = _unit(np.cross(along_s, along_t))
    first = _unit(along_s)
    axes = np.stack([first, np.cross(normal, first), normal], axis=2)  # columns are the Gaussian's axes
    cell = np.stack([np.linalg.norm(along_s, axis=1) / columns, np.linalg.norm(along_t, axis=1) / rows], 1)
    scales = np.column_stack([OVERLAP * cell, THICKNESS * cell.min(1)])
    u, v = s * patch.size[0], t * patch.size[1]
    if patch.centre:
        u, v = u - patch.size[0] / 2, v - patch.size[1] / 2
    return Cover(
        means=patch.place(s, t),
        quats=Rotation.from_matrix(axes).as_quat()[:, [3, 0, 1, 2]],
        scales=np.maximum(scales, 1e-4),
        albedo=patch.texture(u, v, patch.seed),
        normals=normal,
    )


def plane(corner: Array, s_edge: Array, t_edge: Array) -> Callable[[Array, Array], Array]:
    """A parallelogram."""
    return lambda s, t: corner + s[:, None] * s_edge + t[:, None] * t_edge


def sphere(centre: Array, radius: float) -> Callable[[Array, Array], Array]:
    """A sphere; t goes up (-y)."""

    def place(s: Array, t: Array) -> Array:
        longitude, latitude = 2 * np.pi * s, np.pi * (np.clip(t, 1e-3, 1 - 1e-3) - 0.5)
        ring = np.cos(latitude)
        return centre + radius * np.stack([ring * np.cos(longitude), -np.sin(latitude), ring * np.sin(longitude)], 1)

    return place


def turned(centre: Array, height: float, radius: Callable[[Array], Array]) -> Callable[[Array, Array], Array]:
    """A body of revolution that stands on `centre`; `radius` of t in [0, 1] from foot to top."""

    def place(s: Array, t: Array) -> Array:
        around = 2 * np.pi * s
        r = radius(t)
        return centre + np.stack([r * np.cos(around), -height * t, r * np.sin(around)], 1)

    return place


def torus(centre: Array, large: float, small: float) -> Callable[[Array, Array], Array]:
    """A ring that lies on its side; s around the hole, t around the tube."""

    def place(s: Array, t: Array) -> Array:
        around, tube = 2 * np.pi * s, 2 * np.pi * t
        r = large + small * np.cos(tube)
        return centre + np.stack([r * np.cos(around), -small * np.sin(tube), r * np.sin(around)], 1)

    return place


def box_faces(centre: Array, size: tuple[float, float, float], turn_deg: float) -> list[tuple[Array, Array, Array]]:
    """Top and four sides of a box that stands on `centre`: (corner, s edge, t edge), outward by ds x dt."""
    width, height, depth = size
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    x, y, z = width * np.array([c, 0, s]), np.array([0, -height, 0.0]), depth * np.array([-s, 0, c])
    low = centre - x / 2 - z / 2
    return [
        (low + y, x, z * 1.0),
        (low, x, y),
        (low + x, z, y),
        (low + x + z, -x, y),
        (low + z, -z, y),
    ]


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
