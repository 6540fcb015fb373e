"""Matches of descriptors between frames: one matrix product and a mutual ratio test per pair."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tasks.sfm.features import Features

Pair = tuple[int, int]


def unit_descriptors(features: Features) -> np.ndarray:
    """(N, 128) float32 unit vectors."""
    d = features.descriptors.astype(np.float32)
    return d / np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-12)


def match(a: np.ndarray, b: np.ndarray, *, ratio: float) -> np.ndarray:
    """Mutual nearest neighbours that pass the ratio test one way.

    Args:
        a: (N, 128) unit descriptors; b: (M, 128).
        ratio: largest quotient of the distances to the nearest and the second nearest (Lowe 2004).

    Returns:
        (K, 2) uint32 indices into a and b.
    """
    if len(a) < 2 or len(b) < 2:
        return np.zeros((0, 2), np.uint32)
    similarity = a @ b.T  # (N, M)
    rows = np.arange(len(a))
    nearest = similarity.argmax(1)
    best = similarity[rows, nearest]
    similarity[rows, nearest] = -1.0
    second = similarity.max(1)
    # Distances of unit vectors: |x - y|^2 = 2 - 2 x.y
    passed = (1.0 - best) < ratio**2 * (1.0 - second)
    rows, nearest = rows[passed], nearest[passed]
    if not len(rows):
        return np.zeros((0, 2), np.uint32)
    # The way back only for those that passed: a small product instead of a second scan of the large one.
    mutual = (b[nearest] @ a.T).argmax(1) == rows
    return np.stack([rows[mutual], nearest[mutual]], 1).astype(np.uint32)


def match_all(
    descriptors: Sequence[np.ndarray],
    pairs: Sequence[Pair],
    *,
    ratio: float,
    num_threads: int,
    progress: Callable[[int, int], None],
) -> dict[Pair, np.ndarray]:
    """Matches of every pair; `progress(done, total)` after each, and it may raise to stop."""
    found: dict[Pair, np.ndarray] = {}
    with ThreadPoolExecutor(num_threads) as pool:
        try:
            jobs = pool.map(lambda p: match(descriptors[p[0]], descriptors[p[1]], ratio=ratio), pairs)
            for pair, matches in zip(pairs, jobs, strict=True):
                found[pair] = matches
                progress(len(found), len(pairs))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return found
