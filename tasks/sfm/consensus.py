"""Masks that contradict what the other views say about the same points, mended.

A point of the model is seen by several frames, and lies on the subject or not, whichever frame is asked. So the masks of the other
frames that see it have a word on each place where a frame sees a point. This reaches what optical flow can't: frames after a
jump, photos in no order, a loop that closes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tasks.geometry.guided import refine

SIDE = 256  # maps of words have this squared many pixels, about
MIN_OTHERS = 2.0  # certain frames that must have a word on a point
REACH = 0.02  # of the diagonal: how far a point speaks for its surroundings (standard deviation)
MIN_POINTS = 8  # contradicted points under which a frame is left alone
MIN_SHARE = 0.01  # of its points that must be contradicted, too
DIFFERENCE = (0.15, 0.4)  # between a mask and the word: from where mending begins, and where it is complete
SEAM = 0.012  # width, as a part of the diagonal, below which a contradiction is a seam along an edge
MIN_SUPPORT = 0.5  # of the points around a place; a point alone weighs 1 where it is, and less around
MIN_AGAINST = 0.4  # of the points around a place that must contradict the mask
CUT_ROUNDS = 3
BAND = 0.03  # of the diagonal: how far to either side of where the words change the subject may end
SURE = 0.3  # distance of a word from one half from which it contradicts
MENDED = 0.1  # of the subject that must have changed for a mask to count as mended


@dataclass(frozen=True, kw_only=True)
class Sightings:
    """Attributes:
    xy: (N, 2) where a frame sees points of the model, in its pixels.
    points: (N,) which ones, as places in a list of all points.
    """

    xy: np.ndarray
    points: np.ndarray


def sample(alpha: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """(N,) float64 alpha, 0 to 1, of the pixels (x, y) of an (H, W) uint8 mask."""
    column = np.clip(xy[:, 0].astype(np.int64), 0, alpha.shape[1] - 1)
    row = np.clip(xy[:, 1].astype(np.int64), 0, alpha.shape[0] - 1)
    return alpha[row, column] / 255.0


def words_of_others(seen: Sequence[Sightings], alpha_of: Callable[[int], np.ndarray]) -> list[np.ndarray]:
    """For each frame, what the other frames' masks say about the points that it sees.

    Args:
        seen: of every frame.
        alpha_of: the (H, W) uint8 mask of a frame; called once for each, in order.

    Returns:
        (N,) for each frame: mean alpha over the others, weighted by how certain they are; NaN where too few have a word.
    """
    count = 1 + max((int(s.points.max()) for s in seen if len(s.points)), default=-1)
    sums, weights = np.zeros(count), np.zeros(count)
    own: list[tuple[np.ndarray, np.ndarray]] = []
    for index, sightings in enumerate(seen):
        value = sample(alpha_of(index), sightings.xy)
        weight = (2.0 * value - 1.0) ** 2
        np.add.at(sums, sightings.points, weight * value)
        np.add.at(weights, sightings.points, weight)
        own.append((value, weight))
    words = []
    for sightings, (value, weight) in zip(seen, own, strict=True):
        rest = weights[sightings.points] - weight
        word = (sums[sightings.points] - weight * value) / np.maximum(rest, 1e-9)
        words.append(np.where(rest >= MIN_OTHERS, word, np.nan))
    return words


def _cut(picture: np.ndarray, said: np.ndarray, support: np.ndarray) -> np.ndarray:
    """(h, w) float32, 0 or 1: where the subject ends between points on it and points that aren't.

    GrabCut (Rother et al., SIGGRAPH 2004): what the points say clearly is given, and colours and edges decide between.

    Args:
        picture: (h, w, 3) uint8; said: (h, w) mean of the words around; support: (h, w) how many these are.
    """
    subject = (said >= 0.5).astype(np.uint8)
    labels = np.where(subject > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    # Given is also what is far from where the words change: colours may say the same of things that are far apart.
    band = 2 * round(BAND * float(np.hypot(*said.shape))) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (band, band))
    sure = support >= 1.0
    labels[(sure & (said >= 0.5 + SURE)) | (cv2.erode(subject, disc) > 0)] = cv2.GC_FGD
    labels[(sure & (said <= 0.5 - SURE)) | (cv2.dilate(subject, disc) == 0)] = cv2.GC_BGD
    kinds = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if kinds.any() and not kinds.all():
        cv2.setRNGSeed(0)  # of this thread: the colours' clusters begin at random
        empty = np.zeros((1, 65))
        cv2.grabCut(picture, labels, (0, 0, 0, 0), empty, empty.copy(), CUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
        kinds = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return cv2.GaussianBlur(kinds.astype(np.float32), (0, 0), 0.7)


def reconcile(
    frame: Callable[[], np.ndarray], alpha: np.ndarray, xy: np.ndarray, word: np.ndarray
) -> tuple[np.ndarray, float]:
    """A mask with the places replaced where the words of other views contradict it, and how much of the subject that changed.

    Args:
        frame: gives the (H, W, 3) uint8 picture; called only when something is to be mended.
        alpha: (H, W) uint8.
        xy: (N, 2) places in its pixels; word: (N,) what the others say there, NaN for nothing.
    """
    clear = np.abs(word - 0.5) >= SURE
    against = clear & ((word >= 0.5) != (sample(alpha, xy) >= 0.5))
    if against.sum() < max(MIN_POINTS, MIN_SHARE * clear.sum()):
        return alpha, 0.0
    height, width = alpha.shape
    factor = min(1.0, SIDE / float(np.sqrt(height * width)))
    rows, columns = max(1, round(height * factor)), max(1, round(width * factor))
    own = cv2.resize(alpha, (columns, rows), interpolation=cv2.INTER_AREA) / np.float32(255.0)
    told = ~np.isnan(word)
    column = np.clip((xy[told, 0] * columns / width).astype(np.int64), 0, columns - 1)
    row = np.clip((xy[told, 1] * rows / height).astype(np.int64), 0, rows - 1)
    sums = np.zeros((rows, columns, 3), np.float32)
    parts = np.stack([word[told], np.ones(told.sum()), against[told]], 1)
    np.add.at(sums, (row, column), parts.astype(np.float32))
    diagonal = float(np.hypot(rows, columns))
    sigma = REACH * diagonal
    sums = cv2.GaussianBlur(sums, (0, 0), sigma) * (2.0 * np.pi * sigma**2)  # a point alone weighs 1 at its place
    said = sums[..., 0] / np.maximum(sums[..., 1], 1e-6)
    doubted = (sums[..., 1] >= MIN_SUPPORT) & (sums[..., 2] >= MIN_AGAINST * sums[..., 1])
    doubted &= ((said >= 0.5) != (own >= 0.5)) & (np.abs(said - own) > DIFFERENCE[1])
    size = 2 * max(1, round(0.5 * SEAM * diagonal)) + 1
    core = cv2.erode(doubted.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    around = 2 * round(3.0 * sigma) + 1
    wide = cv2.dilate(core, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (around, around)))
    if not wide.any():
        return alpha, 0.0
    picture = frame()
    small = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
    cut = _cut(small, said, sums[..., 1])
    low, high = DIFFERENCE
    strength = np.clip((np.abs(own - cut) - low) / (high - low), 0.0, 1.0) * wide
    strength = cv2.blur(strength.astype(np.float32), (3, 3))
    mended = np.clip(own + strength * (cut - own), 0.0, 1.0).astype(np.float32)
    share = cv2.resize(np.clip(4.0 * strength, 0.0, 1.0), (width, height), interpolation=cv2.INTER_LINEAR)
    fine = refine(picture, mended)
    result = np.round(alpha + share * (fine.astype(np.float32) - alpha)).astype(np.uint8)
    before, after = alpha >= 128, result >= 128
    return result, float((before != after).sum() / max(int(before.sum()), int(after.sum()), 1))
