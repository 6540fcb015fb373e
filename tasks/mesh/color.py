"""Colours of a mesh's vertices, taken from the scene's own pictures at full sharpness after the mesh is decimated.

Colours carried through the grid of voxels and the decimation would be averaged over both.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from tasks.mesh.depth import DepthMap
from tasks.mesh.views import MeshView

REACH = 2.0  # voxels: a vertex farther from a view's depth isn't what that view shows
SHARPNESS = (
    3  # power of a view's weight: the views that see a vertex best count by far the most, so that little is blurred
)
UNSEEN = 0.5


def vertex_colors(
    vertices: NDArray[np.float32],
    views: Sequence[MeshView],
    maps: Sequence[DepthMap],
    voxel: float,
) -> NDArray[np.float32]:
    """(V, 3) sRGB in [0, 1] of vertices (V, 3) in the world; one that no view sees has that of the nearest that is seen."""
    total = np.zeros((len(vertices), 3))
    weights = np.zeros(len(vertices))
    for view, item in zip(views, maps, strict=True):
        x, y, z = (vertices @ view.viewmat[:3, :3].T + view.viewmat[:3, 3]).T
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            u = view.K[0, 0] * x / z + view.K[0, 2]
            v = view.K[1, 1] * y / z + view.K[1, 2]
            held = (z > 1e-6) & (u >= 0) & (v >= 0) & (u < view.width) & (v < view.height)
        columns, rows = u[held].astype(np.intp), v[held].astype(np.intp)
        shown = np.abs(item.depth[rows, columns] - z[held]) < REACH * voxel  # also says that there is a depth
        index, rows, columns = np.flatnonzero(held)[shown], rows[shown], columns[shown]
        weight = item.weight[rows, columns].astype(np.float64) ** SHARPNESS
        total[index] += weight[:, None] * item.rgb[rows, columns]
        weights[index] += weight
    seen = weights > 0
    colors = np.full((len(vertices), 3), UNSEEN)
    colors[seen] = total[seen] / weights[seen, None] / 255
    if seen.any() and not seen.all():
        nearest = KDTree(vertices[seen]).query(vertices[~seen])[1]
        colors[~seen] = colors[seen][nearest]
    return colors.astype(np.float32)
