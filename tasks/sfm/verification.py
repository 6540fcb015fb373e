"""Which matches agree with one motion of the camera: COLMAP's two-view geometry, one pair per thread."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pycolmap

from tasks.sfm.matching import Pair

MIN_INLIERS = 15
MAX_TRIALS = 1000  # COLMAP's 10,000 cost four times the time on hopeless pairs and found no pair more


def two_view_options(error_px: float, *, seed: int) -> pycolmap.TwoViewGeometryOptions:
    options = pycolmap.TwoViewGeometryOptions()
    options.min_num_inliers = MIN_INLIERS
    options.ransac.max_error = error_px
    options.ransac.max_num_trials = MAX_TRIALS
    options.ransac.random_seed = seed
    return options


def verify_all(
    cameras: Sequence[pycolmap.Camera],
    keypoints: Sequence[np.ndarray],
    matches: Mapping[Pair, np.ndarray],
    *,
    error_px: float,
    seed: int,
    num_threads: int,
    progress: Callable[[int, int], None],
) -> dict[Pair, pycolmap.TwoViewGeometry]:
    """Two-view geometry of every pair with enough matches.

    Args:
        cameras: of each frame.
        keypoints: (N, >= 2) of each frame, pixels.
        matches: (K, 2) per pair of frames.
        error_px: largest epipolar error of an inlier.
    """
    options = two_view_options(error_px, seed=seed)
    pairs = [pair for pair, found in matches.items() if len(found) >= MIN_INLIERS]
    points = [np.ascontiguousarray(k[:, :2], np.float64) for k in keypoints]

    def one(pair: Pair) -> pycolmap.TwoViewGeometry:
        i, j = pair
        return pycolmap.estimate_two_view_geometry(cameras[i], points[i], cameras[j], points[j], matches[pair], options)

    found: dict[Pair, pycolmap.TwoViewGeometry] = {}
    with ThreadPoolExecutor(num_threads) as pool:
        try:
            for pair, geometry in zip(pairs, pool.map(one, pairs), strict=True):
                found[pair] = geometry
                progress(len(found), len(pairs))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return found
