"""What of a scene is worth a mesh: what the cameras go around or along, not the far background."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.mesh.depth import DepthMap, points_in_camera
from tasks.mesh.views import MeshView

FAR = 2.5  # times the usual depth in the middle of the pictures: what lies farther is background
CENTRAL = 0.25  # of width and height, to each side of the middle
PERCENTILES = (1.0, 99.0)  # of the points' coordinates: what lies outside are stray pixels
MARGIN = 0.05  # of the extent, so that the percentiles cut off nothing real
MAX_SAMPLES = 4_000  # points a view
FINEST_PX = 1.0  # a voxel is at least as large as this many pixels at the usual depth


@dataclass(frozen=True, kw_only=True)
class Region:
    """A box in the world and how deep the views count.

    Attributes:
        low, high: (3,) corners of the box.
        far: (V,) largest depth that counts in each view.
        finest: the smallest voxel that the views can fill.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    far: NDArray[np.float64]
    finest: float

    @property
    def long_side(self) -> float:
        """Of the box."""
        return float((self.high - self.low).max())


def usual_depths(maps: Sequence[DepthMap]) -> NDArray[np.float64]:
    """(V,) median depth in the middle of each view; where there is none, that of the others. NaN where there is none at all."""
    found = np.full(len(maps), np.nan)
    for index, item in enumerate(maps):
        height, width = item.depth.shape
        y, x = round(CENTRAL * height), round(CENTRAL * width)
        middle = item.depth[y : height - y, x : width - x]
        if (middle > 0).mean() > 0.05:
            found[index] = np.median(middle[middle > 0])
        elif (item.depth > 0).any():
            found[index] = np.median(item.depth[item.depth > 0])
    if np.isnan(found).all():
        return found
    return np.where(np.isnan(found), np.nanmedian(found), found)


def find_region(views: Sequence[MeshView], maps: Sequence[DepthMap], *, masked: bool) -> Region | None:
    """The region that `maps` show, or None when they show nothing.

    Behind a mask all depths count: there is no background.
    """
    usual = usual_depths(maps)
    if np.isnan(usual).all():
        return None
    typical = float(np.median(usual))
    # a view that looks past the subject must not bring in what is far: the usual depth of all views counts too
    far = np.full(len(views), np.inf) if masked else FAR * np.minimum(usual, 1.5 * typical)
    rng = np.random.default_rng(0)
    samples = []
    for view, item, limit in zip(views, maps, far, strict=True):
        points = points_in_camera(item.depth, view.K)[(item.depth > 0) & (item.depth <= limit)]
        if len(points) > MAX_SAMPLES:
            points = points[rng.choice(len(points), MAX_SAMPLES, replace=False)]
        pose = view.viewmat.astype(np.float64)
        samples.append((points - pose[:3, 3]) @ pose[:3, :3])
    points = np.concatenate(samples)
    if not len(points):
        return None
    low, high = np.percentile(points, PERCENTILES, axis=0)
    margin = MARGIN * (high - low).max()
    pixel = np.median([depth / view.K[0, 0] for view, depth in zip(views, usual, strict=True)])
    return Region(low=low - margin, high=high + margin, far=far, finest=FINEST_PX * float(pixel))
