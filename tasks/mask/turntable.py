"""Whether the subject turned before a background that stood still, as on a turntable before a fixed camera.

Then the background says that the camera never moved, and the subject says that it did: poses must come from the subject alone.
Corners are followed between neighbouring frames (KLT). It takes clear evidence: nearly all corners outside the masks are where
they were while most of those inside have moved or gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

STILL = 0.0015  # motion, as a part of the long side, below which a corner stands still
MOVED = 0.006  # above which it moves
GAPS = (1, 2, 4, 8)  # frames between the two that are compared; the first over which the subject moves is judged
MAX_PAIRS = 60
MIN_CORNERS = 12  # that a pair needs on either side
MIN_PAIRS_SHARE = 0.5  # of all pairs that must have them
STILL_SHARE = 0.8  # of the corners outside that stand still
MOVED_SHARE = 0.6  # of the corners inside that have moved or gone
PAIRS_AGREE = 0.8  # part of the pairs that must say so


@dataclass(frozen=True, kw_only=True)
class Stillness:
    """Attributes:
    gap: frames between the two of each pair that was judged.
    pairs: pairs that had corners enough on either side.
    still_outside: median part of the corners outside the masks that stood still.
    moved_inside: median part of the corners inside that moved or were lost.
    agree: part of those pairs where the background stood still and the subject moved.
    enough: whether enough of the pairs could say anything.
    """

    gap: int = 0
    pairs: int = 0
    still_outside: float = 0.0
    moved_inside: float = 0.0
    agree: float = 0.0
    enough: bool = False

    @property
    def stands_still(self) -> bool:
        """Whether the background stood still, clearly."""
        return self.enough and self.agree >= PAIRS_AGREE


def _corners(gray: np.ndarray, where: np.ndarray) -> np.ndarray:
    """(N, 1, 2) float32 corners of a gray image at places of a boolean mask."""
    found = cv2.goodFeaturesToTrack(
        gray, maxCorners=150, qualityLevel=0.01, minDistance=5, mask=where.astype(np.uint8) * 255
    )
    return np.zeros((0, 1, 2), np.float32) if found is None else np.asarray(found, np.float32)


def _motion(a: np.ndarray, b: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(N,) how far each corner moved, as a part of the long side; infinite where it's lost."""
    if not len(corners):
        return np.zeros(0)
    window = {"winSize": (15, 15), "maxLevel": 3}
    there, found, _ = cv2.calcOpticalFlowPyrLK(a, b, corners, corners.copy(), **window)
    back, again, _ = cv2.calcOpticalFlowPyrLK(b, a, there, there.copy(), **window)
    kept = (np.ravel(found) > 0) & (np.ravel(again) > 0)
    kept &= np.linalg.norm(np.reshape(back - corners, (-1, 2)), axis=1) < 1.0
    moved = np.linalg.norm(np.reshape(there - corners, (-1, 2)), axis=1) / max(a.shape)
    return np.where(kept, moved, np.inf)


def _pair(a: np.ndarray, b: np.ndarray, mask_a: np.ndarray, mask_b: np.ndarray) -> tuple[float, float] | None:
    """(still share outside, moved share inside), or None where there are too few corners."""
    reach = max(1, round(0.02 * max(a.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    subject = ((mask_a >= 128) | (mask_b >= 128)).astype(np.uint8)  # what it uncovers is no background that moved
    outside = _motion(a, b, _corners(a, cv2.dilate(subject, disc) == 0))
    inside = _motion(a, b, _corners(a, mask_a >= 128))
    if len(outside) < MIN_CORNERS or len(inside) < MIN_CORNERS:
        return None
    return float((outside < STILL).mean()), float((inside > MOVED).mean())


def measure_stillness(grays: Sequence[np.ndarray], maps: Sequence[np.ndarray]) -> Stillness:
    """Judge frames in order: of a video, or photos by name.

    Args:
        grays: (h, w) uint8 of each frame, small.
        maps: (h, w) uint8 masks of the same sizes, 255 = subject.
    """
    judged = Stillness()
    for gap in GAPS:
        starts = [i for i in range(len(grays) - gap) if grays[i].shape == grays[i + gap].shape]
        starts = starts[:: max(1, len(starts) // MAX_PAIRS)]
        if not starts:
            break
        found = [_pair(grays[i], grays[i + gap], maps[i], maps[i + gap]) for i in starts]
        shares = np.array([pair for pair in found if pair is not None]).reshape(-1, 2)
        if not len(shares):
            continue
        judged = Stillness(
            gap=gap,
            pairs=len(shares),
            still_outside=float(np.median(shares[:, 0])),
            moved_inside=float(np.median(shares[:, 1])),
            agree=float(((shares[:, 0] >= STILL_SHARE) & (shares[:, 1] >= MOVED_SHARE)).mean()),
            enough=len(shares) >= max(3, MIN_PAIRS_SHARE * len(starts)),
        )
        if judged.moved_inside >= MOVED_SHARE:
            break
    return judged
