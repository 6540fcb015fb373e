"""How far the picture has moved along a clip, from sparse optical flow at a small size."""

from dataclasses import dataclass

import cv2
import numpy as np

TRACKING_SIDE_PX = 320  # long side of the picture that is tracked
_POINTS = 200
_ANCHOR_REACH = 0.04  # new points after this much net motion, as a share of the long side
_LOST_STEP = 0.25  # motion assumed where tracking fails: a jump or a cut
_UNKNOWN_STEP = 0.005  # motion assumed where there is nothing to track, but the picture changes
_STILL_MOTION = 0.0002  # below this, and below the next, a frame repeats another: a third of a pixel of 1,600
_STILL_CHANGE = 0.25  # mean grey levels


@dataclass(frozen=True, kw_only=True)
class Step:
    """Where a frame stands on the clip's path."""

    position: float  # net motion since the start, never falling; 1 = the long side of the picture
    new: bool  # False: shows the same as the last new frame


class MotionTracker:
    """Follows corners from frame to frame.

    Motion is measured against where the corners were when they were found, not summed from frame to frame, so the
    shake of a hand that stays in place does not add up.
    """

    def __init__(self) -> None:
        self._previous: np.ndarray | None = None  # (H, W) uint8
        self._kept: np.ndarray | None = None  # the last new frame
        self._now = np.zeros((0, 2), np.float32)  # where the points are
        self._at_anchor = self._now  # where they were found
        self._at_kept = self._now  # where they were in the last new frame
        self._base = 0.0
        self._position = 0.0

    def advance(self, grey: np.ndarray) -> Step:
        """Take the next frame.  grey: (H, W) uint8, long side about `TRACKING_SIDE_PX`"""
        if self._previous is None or self._kept is None or self._previous.shape != grey.shape:
            self._previous, self._kept = grey, grey
            self._find_points(grey)
            return Step(position=self._position, new=True)
        side = max(grey.shape)
        had = len(self._now)
        if had:
            self._follow(self._previous, grey)
        change = float(np.mean(cv2.absdiff(grey, self._kept)))
        if len(self._now) >= max(8, had // 4):
            travelled = _median_length(self._now - self._at_anchor) / side
            moved = _median_length(self._now - self._at_kept) / side
            self._position = max(self._position, self._base + travelled)
            still = moved < _STILL_MOTION and change < _STILL_CHANGE
            refresh = travelled > _ANCHOR_REACH or len(self._now) < _POINTS // 3
        else:
            still = change < _STILL_CHANGE
            if not still:
                self._position += _LOST_STEP if had >= 8 else _UNKNOWN_STEP
            refresh = True
        self._previous = grey
        if not still:
            self._kept = grey
            self._at_kept = self._now
            if refresh:
                self._base = self._position
                self._find_points(grey)
        return Step(position=self._position, new=not still)

    def _find_points(self, grey: np.ndarray) -> None:
        found = cv2.goodFeaturesToTrack(grey, maxCorners=_POINTS, qualityLevel=0.005, minDistance=7)
        points = np.zeros((0, 2), np.float32) if found is None else np.asarray(found, np.float32).reshape(-1, 2)
        self._now = self._at_anchor = self._at_kept = points

    def _follow(self, before: np.ndarray, after: np.ndarray) -> None:
        moved, status, _ = cv2.calcOpticalFlowPyrLK(
            before, after, self._now.reshape(-1, 1, 2), self._now.reshape(-1, 1, 2).copy(), winSize=(15, 15), maxLevel=3
        )
        height, width = after.shape
        points = np.asarray(moved, np.float32).reshape(-1, 2)
        inside = (points >= 0).all(axis=1) & (points[:, 0] < width) & (points[:, 1] < height)
        alive = np.asarray(status).reshape(-1).astype(bool) & inside
        self._now, self._at_anchor, self._at_kept = points[alive], self._at_anchor[alive], self._at_kept[alive]


def _median_length(vectors: np.ndarray) -> float:
    return float(np.median(np.hypot(vectors[:, 0], vectors[:, 1])))
