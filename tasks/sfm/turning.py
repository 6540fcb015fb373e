"""Clips in which the camera only turned: refused before a mapper invents a depth for them.

Between two views from one place, x2 ~ K R K^-1 x1: every match obeys a homography, and in units of the focal length that is a
rotation. A plane seen by a moving camera obeys one, too, but not a rotation. So of each pair's homography the part that is no
rotation is set against the whole motion, at the focal length where it comes off best.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.sfm.focal import MAX_RATIO, MIN_RATIO
from tasks.sfm.verification import Homography

FOCALS = 40
MIN_SHARE = 0.9
MAX_RESIDUAL = 0.15
STILL = 0.004  # motion in units of the focal length below which the camera stood still


@dataclass(frozen=True, kw_only=True)
class Turning:
    """Attributes:
    share: median over pairs of the matches that a homography explains.
    residual: part of the motion that isn't turning, 0 to about 1, median over pairs at the best focal length.
    motion: median over pairs of the whole motion, in units of the focal length.
    """

    share: float
    residual: float
    motion: float

    @property
    def only(self) -> bool:
        """Whether there is nothing but turning."""
        return self.share >= MIN_SHARE and (self.residual <= MAX_RESIDUAL or self.motion < STILL)


def measure_turning(found: Sequence[Homography], *, width: int, height: int) -> Turning:
    """How much of the motion between frames of this size is turning on the spot."""
    if not found:
        return Turning(share=0.0, residual=1.0, motion=0.0)
    share = float(np.median([h.share for h in found]))
    best, best_motion = np.inf, 0.0
    for focal in max(width, height) * np.geomspace(MIN_RATIO, MAX_RATIO, FOCALS):
        k = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
        h = np.linalg.inv(k) @ np.stack([x.matrix for x in found]) @ k
        h /= np.cbrt(np.linalg.det(h))[:, None, None]
        u, _, vt = np.linalg.svd(h)
        off = np.linalg.norm(h - u @ vt, axis=(1, 2))
        whole = np.linalg.norm(h - np.eye(3), axis=(1, 2))
        residual = float(np.median(off / np.maximum(whole, 1e-9)))
        if residual < best:
            best, best_motion = residual, float(np.median(whole))
    return Turning(share=share, residual=best, motion=best_motion)
