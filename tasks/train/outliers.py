"""Neighbourhoods of the points that SfM found: which are noise, and how far apart they lie."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree


def statistical_outliers(
    points: NDArray[np.floating], neighbours: int = 20, std_ratio: float = 2.0
) -> NDArray[np.bool_]:
    """Which of the points (N, 3) lie alone: (N,), True where a point should go.

    A point is an outlier when the mean distance to its `neighbours` nearest (itself counted, at distance 0) exceeds the
    mean of this over all points by `std_ratio` of its standard deviations. The definition is that of Open3D's
    `remove_statistical_outlier`, save that points which coincide with all their neighbours stay.

    Source: Rusu et al., "Towards 3D Point Cloud Based Object Maps for Household Environments", 2008. Raises ValueError
    for points that are not (N, 3) or fewer than one neighbour.
    """
    _check(points, neighbours)
    if len(points) < 2:
        return np.zeros(len(points), dtype=np.bool_)
    own = _neighbour_distances(points, min(neighbours, len(points))).mean(axis=1)  # (N,)
    return own > own.mean() + std_ratio * own.std(ddof=1)


def mean_neighbour_distance(points: NDArray[np.floating], k: int = 3) -> NDArray[np.float64]:
    """Root mean square distance (N,) of each of the points (N, 3) to its `k` nearest others: the size to begin with.

    Zero where all `k` coincide with the point, and for a point that is alone. Source: the initial scales of Kerbl et
    al., "3D Gaussian Splatting", 2023. Raises ValueError for points that are not (N, 3) or fewer than one neighbour.
    """
    _check(points, k)
    if len(points) < 2:
        return np.zeros(len(points))
    distances = _neighbour_distances(points, min(k + 1, len(points)))[:, 1:]  # (N, k) without the point itself
    return np.sqrt((distances**2).mean(axis=1))


def _neighbour_distances(points: NDArray[np.floating], k: int) -> NDArray[np.float64]:
    """Distances (N, k) of each point to its k nearest, itself first."""
    points = np.asarray(points, dtype=np.float64)
    distances, _ = KDTree(points).query(points, k=k, workers=-1)
    return distances.reshape(len(points), k)


def _check(points: NDArray[np.floating], neighbours: int) -> None:
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points has shape {points.shape}, expected (N, 3)")
    if neighbours < 1:
        raise ValueError(f"at least one neighbour is needed, not {neighbours}")
