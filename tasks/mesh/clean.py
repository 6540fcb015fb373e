"""From the raw surface to a mesh that one wants to keep: small pieces dropped, decimated, sound."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """A triangle mesh in the world frame.

    Attributes:
        vertices: (V, 3) float32.
        faces: (F, 3) int32, counter-clockwise as seen from outside.
        normals: (V, 3) float32, of length 1.
        colors: (V, 3) float32, sRGB in [0, 1]; grey until the mesh is coloured.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    normals: NDArray[np.float32]
    colors: NDArray[np.float32]


def clean(raw: Any, *, max_faces: int, min_component_part: float) -> tuple[Mesh, int]:
    """The mesh to keep, and how many pieces were dropped.

    Args:
        raw: legacy Open3D triangle mesh; it is changed.
        max_faces: of the result.
        min_component_part: connected pieces with less than this part of the largest one's area are dropped.
    """
    raw.remove_duplicated_vertices()
    raw.remove_degenerate_triangles()
    raw.remove_duplicated_triangles()
    dropped = _drop_small(raw, min_component_part)
    if len(raw.triangles) > max_faces:
        raw = raw.simplify_quadric_decimation(max_faces)
        raw.remove_degenerate_triangles()
        raw.remove_duplicated_triangles()
        dropped += _drop_small(raw, min_component_part)
    raw.remove_unreferenced_vertices()
    return _sound(raw), dropped


def _drop_small(raw: Any, part: float) -> int:
    """Remove small connected pieces in place; how many there were."""
    if not len(raw.triangles):
        return 0
    labels, _, areas = raw.cluster_connected_triangles()
    labels, areas = np.asarray(labels), np.asarray(areas)
    small = areas < part * areas.max()
    raw.remove_triangles_by_mask(small[labels])
    raw.remove_unreferenced_vertices()
    return int(small.sum())


def _sound(raw: Any) -> Mesh:
    """As arrays in float32, without faces that have no area in that precision, with normals of length 1."""
    vertices = np.asarray(raw.vertices).astype(np.float32)
    faces = np.asarray(raw.triangles).astype(np.int32)
    corners = vertices[faces].astype(np.float64)
    crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])  # (F, 3), twice the area long
    solid = np.linalg.norm(crossed, axis=1) > 0
    faces, crossed = faces[solid], crossed[solid]
    used, inverse = np.unique(faces, return_inverse=True)
    faces = inverse.reshape(-1, 3).astype(np.int32)
    normals = np.zeros((len(used), 3))
    for corner in range(3):  # weighted by area
        np.add.at(normals, faces[:, corner], crossed)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    flat = length[:, 0] <= 1e-30  # faces that cancel each other out: any direction is as good
    normals = np.where(flat[:, None], np.array([0.0, -1.0, 0.0]), normals / np.maximum(length, 1e-30))
    return Mesh(
        vertices=vertices[used],
        faces=faces,
        normals=normals.astype(np.float32),
        colors=np.full((len(used), 3), 0.5, np.float32),
    )
