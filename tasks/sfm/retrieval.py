"""Frames that look alike, found without a downloaded vocabulary.

VLAD (Jegou et al., CVPR 2010) with a vocabulary made of the clip's own descriptors proposes; a small matching of the
largest features disposes. Both are a few matrix products.
"""

from collections.abc import Sequence

import numpy as np

from tasks.sfm.matching import Pair, match

WORDS = 64
TRAINING_DESCRIPTORS = 20_000
ITERATIONS = 8
SHORT_FEATURES = 512  # features of the largest scale compared in the small matching


def _nearest(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return (x @ centres.T - 0.5 * (centres**2).sum(1)).argmax(1)


def vocabulary(descriptors: Sequence[np.ndarray], *, seed: int) -> np.ndarray:
    """(WORDS, 128) centres by Lloyd's k-means over a sample of all frames' unit descriptors."""
    rng = np.random.default_rng(seed)
    share = max(1, TRAINING_DESCRIPTORS // max(1, len(descriptors)))
    sample = np.concatenate([d[rng.permutation(len(d))[:share]] for d in descriptors])
    if len(sample) <= WORDS:
        return sample
    centres = sample[rng.choice(len(sample), WORDS, replace=False)].copy()
    for _ in range(ITERATIONS):
        words = _nearest(sample, centres)
        counts = np.bincount(words, minlength=WORDS)
        sums = np.zeros_like(centres)
        np.add.at(sums, words, sample)
        centres[counts > 0] = sums[counts > 0] / counts[counts > 0, None]
    return centres


def vlad(descriptors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(WORDS * 128,) unit vector: residuals summed per word, normalised per word and as a whole (RootSIFT needs no more)."""
    out = np.zeros_like(centres)
    if len(descriptors):
        words = _nearest(descriptors, centres)
        for word in np.unique(words):
            members = descriptors[words == word]
            out[word] = (members - centres[word]).sum(0)
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
    flat = out.ravel()
    return flat / max(float(np.linalg.norm(flat)), 1e-12)


def similarity_matrix(descriptors: Sequence[np.ndarray], *, seed: int) -> np.ndarray:
    """(F, F) float32 cosine of the frames' VLAD vectors."""
    centres = vocabulary(descriptors, seed=seed)
    vectors = np.stack([vlad(d, centres) for d in descriptors])
    return vectors @ vectors.T


def propose(similarity: np.ndarray, per_frame: int, *, min_gap: int) -> list[Pair]:
    """The `per_frame` most similar frames of each frame that are at least `min_gap` places away in the list."""
    count = len(similarity)
    gap = np.abs(np.arange(count)[:, None] - np.arange(count)[None])
    scores = np.where(gap >= max(1, min_gap), similarity, -np.inf)
    pairs: set[Pair] = set()
    for i in range(count):
        for j in np.argsort(-scores[i], kind="stable")[:per_frame].tolist():
            if np.isfinite(scores[i, j]):
                pairs.add((min(i, j), max(i, j)))
    return sorted(pairs)


def confirm(descriptors: Sequence[np.ndarray], pairs: Sequence[Pair], *, ratio: float, min_matches: int) -> list[Pair]:
    """Those pairs whose largest features (descriptors are sorted by scale) have at least `min_matches` matches."""
    short = [d[:SHORT_FEATURES] for d in descriptors]
    return [p for p in pairs if len(match(short[p[0]], short[p[1]], ratio=ratio)) >= min_matches]
