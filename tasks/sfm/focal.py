"""The focal length of an unknown camera, voted by its two-view geometries.

For the true focal length f, diag(f, f, 1)^T F diag(f, f, 1) is an essential matrix, whose two non-zero singular values are
equal. One pair says this badly (and pairs with parallel axes not at all), but all pairs of a clip share one lens: so the gap
between the two is summed over all pairs, robustly, on a grid of focal lengths. The minimum needs no starting value, which is
what the local search of a view-graph calibration lacks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_RATIO, MAX_RATIO = (
    0.35,
    4.0,
)  # of the long side: 110 degrees to 14 degrees; phones and action cameras lie well inside
GRID = 160
COST_SCALE = 0.05
MIN_CONTRAST = 0.1


@dataclass(frozen=True, kw_only=True)
class FocalVote:
    """Attributes:
    focal_px: where the cost is least.
    clear: whether the pairs say anything: the minimum is deep enough, and not at the end of the grid.
    contrast: 1 - least cost / median cost over the grid; near 0 when the pairs say nothing.
    pairs: fundamental matrices that voted.
    """

    focal_px: float
    clear: bool
    contrast: float
    pairs: int


def singular_gap(fundamentals: np.ndarray, focals: np.ndarray) -> np.ndarray:
    """(P, G) relative gap of the two singular values for (P, 3, 3) matrices of centred pixels and (G,) focal lengths."""
    k = np.stack([focals, focals, np.ones_like(focals)], 1)  # (G, 3)
    e = fundamentals[:, None] * k[None, :, :, None] * k[None, :, None, :]  # (P, G, 3, 3)
    s = np.linalg.svd(e, compute_uv=False)
    return (s[..., 0] - s[..., 1]) / np.maximum(s[..., 0] + s[..., 1], 1e-300)


def vote(fundamentals: Sequence[np.ndarray], weights: Sequence[float], *, width: int, height: int) -> FocalVote:
    """Focal length in pixels of a camera of this size from fundamental matrices of its pixels.

    Args:
        fundamentals: at least one (3, 3), x2^T F x1 = 0.
        weights: how much each counts (inliers).
    """
    centre = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1.0]])
    centred = np.stack([centre.T @ f @ centre for f in fundamentals])
    long_side = max(width, height)
    grid = long_side * np.geomspace(MIN_RATIO, MAX_RATIO, GRID)
    gap = singular_gap(centred, grid)
    w = np.asarray(weights, np.float64)
    cost = (w[:, None] * (gap**2 / (gap**2 + COST_SCALE**2))).sum(0) / max(w.sum(), 1e-12)
    best = int(cost.argmin())
    contrast = float(1.0 - cost[best] / max(float(np.median(cost)), 1e-12))
    return FocalVote(
        focal_px=float(grid[best]),
        clear=contrast >= MIN_CONTRAST and GRID // 20 <= best < GRID - GRID // 20,
        contrast=contrast,
        pairs=len(fundamentals),
    )
