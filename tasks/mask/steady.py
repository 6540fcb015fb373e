"""A subject that flickers off for some frames, or a piece of background that flickers on, mended from the neighbours.

Every map of probabilities is carried along the optical flow (DIS: Kroeger et al., ECCV 2016) from frame to frame, forwards and
backwards, as a mean that slowly forgets. Frames where the network is sure count more than frames where it wavers, and places
where the flow there and the flow back don't meet carry nothing. Where that mean contradicts a frame's own map over more than
a seam, it replaces it; anywhere else the map stays as it is.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

MEMORY = 0.9  # what is kept of the mean from one frame to the next
UNSURE = 0.05  # weight of a place where the network says one half; of one where it is sure: 1 more
FLOW_ERROR_PX = 1.5  # distance between there and back at which trust has fallen to a third
GRAY_ERROR = 20.0  # levels between a place and what it was carried from, at which trust has fallen to a third
SPREAD_PX = 2.5  # how far a word is passed on to where the flow fails, as along the subject's outline
MIN_SUPPORT = 0.5  # weight that the neighbours must have
DIFFERENCE = (0.15, 0.4)  # between a map and the mean: from where mending begins, and where it is complete
WAVERS = 0.3  # distance from one half below which a map leaves it to the mean, also on the same side of one half
SEAM = 0.012  # width, as a part of the map's diagonal, below which a contradiction is a seam along an edge
SCALE = 20.0  # of weights kept as bytes; a mean never weighs more than 1.05 / (1 - MEMORY)

Progress = Callable[[int, int], None]


def certainty(foreground: np.ndarray) -> np.ndarray:
    """Weight of each place of a map (h, w) of probabilities."""
    return UNSURE + (2.0 * foreground - 1.0) ** 2


class Flow:
    """Carries maps between two neighbouring frames.  a, b: (h, w) uint8 gray, of one size"""

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def between(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each pixel of `a` lies in `b`, (h, w, 2) float32 pixels, and how far that is to be trusted, (h, w) in [0, 1]."""
        there = np.asarray(self._dis.calc(a, b, None))  # type: ignore[call-overload]
        back = np.asarray(self._dis.calc(b, a, None))  # type: ignore[call-overload]
        height, width = a.shape
        place = there + np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
        gap = np.linalg.norm(there + carry(back, place), axis=-1)
        inside = (place >= 0).all(-1) & (place[..., 0] <= width - 1) & (place[..., 1] <= height - 1)
        # Flow drags a few pixels of ground along with the subject, both ways alike: those look different there.
        off = cv2.blur(np.abs(a.astype(np.float32) - carry(b.astype(np.float32), place)), (5, 5))
        trust = np.exp(-((gap / FLOW_ERROR_PX) ** 2) - (off / GRAY_ERROR) ** 2)
        return place, np.where(inside, trust, 0.0).astype(np.float32)


def carry(values: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The values (h, w) or (h, w, C) found at `place` (h, w, 2)."""
    return cv2.remap(values, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]


class _Mean:
    """The mean of all frames before (in one direction), in the last frame's picture."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._gray: np.ndarray | None = None
        self._sums = np.zeros((0, 0, 2), np.float32)  # weighted probabilities, weights

    def advance(self, gray: np.ndarray, foreground: np.ndarray) -> np.ndarray:
        """(h, w, 2): sums over the frames before, in the picture of this one, which then joins them."""
        if self._gray is None or self._gray.shape != gray.shape:
            carried = np.zeros((*gray.shape, 2), np.float32)
        else:
            place, trust = self._flow.between(gray, self._gray)
            carried = carry(self._sums, place) * (MEMORY * trust)[..., None]
        weight = certainty(foreground)
        self._sums = carried + np.stack([weight * foreground, weight], -1)
        self._gray = gray
        return carried


def _spread(sums: np.ndarray) -> np.ndarray:
    """(h, w, 2) sums with a little of those around: it decides where there is nothing else."""
    return sums + 0.2 * cv2.GaussianBlur(sums, (0, 0), SPREAD_PX)


def _disc(size: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def mend(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """A map with the places replaced where its neighbours contradict it.

    The own word has a vote in whether there is a contradiction; what comes in its place is the neighbours' alone, or else it would
    nibble at the rim, where flow is worst.

    Args:
        own: (h, w) float32 probabilities.
        others: (h, w, 2) sums of the neighbours' weighted probabilities, and of their weights.
    """
    weight, support = certainty(own), others[..., 1]
    voted = (weight * own + others[..., 0]) / (weight + support)
    doubted = ((own >= 0.5) != (voted >= 0.5)) | (np.abs(own - 0.5) < WAVERS)
    doubted &= (np.abs(own - voted) > DIFFERENCE[0]) & (support >= MIN_SUPPORT)
    # Seams along an edge that has drifted by a pixel or two vanish here; what is wider keeps its whole shape.
    size = 2 * max(1, round(0.5 * SEAM * float(np.hypot(*own.shape)))) + 1
    wide = cv2.dilate(cv2.erode(doubted.astype(np.uint8), _disc(size)), _disc(2 * size + 1))
    if not wide.any():
        return own
    word = others[..., 0] / np.maximum(support, 1e-6)
    low, high = DIFFERENCE
    strength = np.clip((np.abs(own - word) - low) / (high - low), 0.0, 1.0) * (support > MIN_SUPPORT / 10)
    return own + cv2.blur((strength * wide).astype(np.float32), (3, 3)) * (word - own)


def steady(
    grays: Sequence[np.ndarray],
    maps: list[np.ndarray],
    progress: Progress,
) -> list[float]:
    """Mend the maps of consecutive frames in place.

    Args:
        grays: (h, w) uint8 of each frame, small; memory is a few bytes a pixel of these.
        maps: (h, w) uint8 probabilities of the foreground (255 = sure), of the same sizes.
        progress: called with (done, total); may raise to stop.

    Returns:
        for each frame the area that changed sides, as a part of the larger of the subject before and after.
    """
    count, flow = len(grays), Flow()
    total = 2 * count
    before: list[np.ndarray] = []
    mean = _Mean(flow)
    for index in range(count):
        sums = mean.advance(grays[index], maps[index] / np.float32(255.0))
        share = sums[..., 0] / np.maximum(sums[..., 1], 1e-6)
        before.append(np.stack([255.0 * share, SCALE * sums[..., 1]], -1).clip(0, 255).astype(np.uint8))
        progress(index + 1, total)
    changed = [0.0] * count
    mean = _Mean(flow)
    for index in reversed(range(count)):
        own = maps[index] / np.float32(255.0)
        after = mean.advance(grays[index], own)
        earlier = before.pop().astype(np.float32)
        earlier[..., 1] /= SCALE
        earlier[..., 0] *= earlier[..., 1] / 255.0
        mended = mend(own, _spread(after + earlier))
        sides, new_sides = own >= 0.5, mended >= 0.5
        area = max(int(sides.sum()), int(new_sides.sum()), 1)
        changed[index] = float((sides != new_sides).sum() / area)
        maps[index] = np.round(255.0 * mended).astype(np.uint8)
        progress(2 * count - index, total)
    return changed
