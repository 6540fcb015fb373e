"""Which matches agree with one motion of the camera.

Fundamental matrices by OpenCV's USAC/MAGSAC (Barath et al., CVPR 2020) take a tenth of the time of COLMAP's LO-RANSAC at the
same number of inliers. Once they have voted on the focal length (focal.py), essential matrices follow from their inliers. A
homography is never asked: COLMAP files pairs that one explains fairly well as planar, and loses what stands off the plane.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import pycolmap

from tasks.geometry.cameras import rays_from_pixels
from tasks.sfm.features import one_opencv_thread
from tasks.sfm.matching import Pair

MIN_INLIERS = 18  # pairs that show nothing in common reach 10 to 13
MIN_INLIER_RATIO = 0.25
CONFIDENCE = 0.9999
MAX_TRIALS = 2000

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Epipolar:
    """Attributes:
    fundamental: (3, 3), x2^T F x1 = 0 in pixels.
    matches: (K, 2) uint32 inliers.
    """

    fundamental: np.ndarray  # (3, 3)
    matches: np.ndarray  # (K, 2)


def epipolar(a: np.ndarray, b: np.ndarray, matches: np.ndarray, *, error_px: float) -> Epipolar | None:
    """The fundamental matrix of two frames, or None where too few matches agree.

    Args:
        a, b: (N, 2), (M, 2) keypoints in pixels.
        matches: (K, 2) indices into them.
    """
    if len(matches) < MIN_INLIERS:
        return None
    try:
        fundamental, mask = cv2.findFundamentalMat(
            a[matches[:, 0]], b[matches[:, 1]], cv2.USAC_MAGSAC, error_px, CONFIDENCE, MAX_TRIALS
        )
    except cv2.error:  # USAC gives up this way where everything stands still to the pixel
        return None
    if fundamental is None or fundamental.shape != (3, 3):
        return None
    inliers = matches[mask.ravel() > 0]
    if len(inliers) < max(MIN_INLIERS, MIN_INLIER_RATIO * len(matches)):
        return None
    return Epipolar(fundamental=fundamental, matches=inliers)


def two_view_geometry(
    a: np.ndarray,
    b: np.ndarray,
    found: Epipolar,
    camera_a: pycolmap.Camera,
    camera_b: pycolmap.Camera,
    *,
    error_px: float,
    min_ratio: float = 0.5,
) -> pycolmap.TwoViewGeometry | None:
    """COLMAP's record of a pair: calibrated by the cameras' present focal lengths.

    Args:
        a, b: (N, 2), (M, 2) keypoints in pixels.
        min_ratio: of `found.matches` that must agree.
    """
    m = found.matches
    rays_a, rays_b = rays_from_pixels(camera_a, a[m[:, 0]]), rays_from_pixels(camera_b, b[m[:, 1]])
    threshold = error_px / (0.5 * (camera_a.mean_focal_length() + camera_b.mean_focal_length()))
    try:
        essential, mask = cv2.findEssentialMat(
            rays_a, rays_b, np.eye(3), method=cv2.USAC_MAGSAC, prob=CONFIDENCE, threshold=threshold, maxIters=MAX_TRIALS
        )
    except cv2.error:  # as above
        return None
    if essential is None or essential.shape != (3, 3):
        return None
    inliers = m[mask.ravel() > 0]
    if len(inliers) < max(MIN_INLIERS, min_ratio * len(m)):
        return None
    geometry = pycolmap.TwoViewGeometry()
    geometry.config = pycolmap.TwoViewGeometryConfiguration.CALIBRATED.value
    k_a, k_b = camera_a.calibration_matrix(), camera_b.calibration_matrix()
    geometry.F = np.linalg.inv(k_b).T @ essential @ np.linalg.inv(k_a)
    geometry.E = essential
    geometry.inlier_matches = inliers
    return geometry


def for_all_pairs(
    work: Callable[[Pair], T | None],
    pairs: Sequence[Pair],
    *,
    num_threads: int,
    progress: Callable[[int, int], None],
) -> dict[Pair, T]:
    """work(pair) for every pair where it gives something; `progress(done, total)` after each, and it may raise to stop."""
    found: dict[Pair, T] = {}
    with one_opencv_thread(), ThreadPoolExecutor(num_threads) as pool:
        try:
            for done, (pair, result) in enumerate(zip(pairs, pool.map(work, pairs), strict=True), 1):
                if result is not None:
                    found[pair] = result
                progress(done, len(pairs))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return found


def verify_all(
    keypoints: Sequence[np.ndarray],
    matches: Mapping[Pair, np.ndarray],
    *,
    error_px: float,
    num_threads: int,
    progress: Callable[[int, int], None],
) -> dict[Pair, Epipolar]:
    """Epipolar geometry of the pairs that have one. keypoints: (N, 2) float64 of each frame, pixels."""
    return for_all_pairs(
        lambda p: epipolar(keypoints[p[0]], keypoints[p[1]], matches[p], error_px=error_px),
        list(matches),
        num_threads=num_threads,
        progress=progress,
    )


def calibrate_all(
    keypoints: Sequence[np.ndarray],
    verified: Mapping[Pair, Epipolar],
    cameras: Sequence[pycolmap.Camera],
    *,
    error_px: float,
    num_threads: int,
    progress: Callable[[int, int], None],
) -> dict[Pair, pycolmap.TwoViewGeometry]:
    """COLMAP's records of those pairs with the cameras (one per frame) as they are now."""
    return for_all_pairs(
        lambda p: two_view_geometry(
            keypoints[p[0]], keypoints[p[1]], verified[p], cameras[p[0]], cameras[p[1]], error_px=error_px
        ),
        list(verified),
        num_threads=num_threads,
        progress=progress,
    )


@dataclass(frozen=True, kw_only=True)
class Homography:
    """Attributes:
    matrix: (3, 3), x2 ~ H x1 in pixels.
    share: of the pair's epipolar inliers that it explains too.
    """

    matrix: np.ndarray  # (3, 3)
    share: float


def homographies(
    keypoints: Sequence[np.ndarray], verified: Mapping[Pair, Epipolar], *, error_px: float, sample: int = 200
) -> dict[Pair, Homography]:
    """For at most `sample` pairs, spread evenly, what a homography makes of them.

    It explains nearly everything where the camera only turned, or saw a plane: such a pair says nothing about the focal length.
    """
    found: dict[Pair, Homography] = {}
    for i, j in sorted(verified)[:: max(1, len(verified) // sample)]:
        m = verified[i, j].matches
        matrix, mask = cv2.findHomography(keypoints[i][m[:, 0]], keypoints[j][m[:, 1]], cv2.USAC_MAGSAC, error_px)
        if mask is None or matrix is None or matrix.shape != (3, 3):
            found[i, j] = Homography(matrix=np.eye(3), share=0.0)
        else:
            found[i, j] = Homography(matrix=matrix, share=float((mask > 0).mean()))
    return found
