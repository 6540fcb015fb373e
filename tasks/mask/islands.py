"""Small pieces far from the subject, which are pictures on the wall more often than parts of it."""

import cv2
import numpy as np
from scipy.ndimage import minimum

NEAR = 0.04  # gap, as a part of the map's diagonal, over which two pieces still belong together
LARGE = 0.3  # of the largest piece: a piece of this size belongs to the subject wherever it is


def drop_islands(foreground: np.ndarray) -> np.ndarray:
    """The map without pieces that are both small and far from the rest.

    The subject is the heaviest piece, with what lies near it, what lies near that, and so on, and with everything large.

    Args:
        foreground: (h, w) float32 probabilities.

    Returns:
        (h, w) float32; outside of what is dropped it's unchanged.
    """
    count, labels = cv2.connectedComponents((foreground >= 0.5).astype(np.uint8), connectivity=8)
    if count <= 2:
        return foreground
    weights = np.bincount(labels.ravel(), foreground.ravel(), count)
    weights[0] = 0.0
    kept = weights >= LARGE * weights.max()
    reach = max(1, round(NEAR * float(np.hypot(*foreground.shape))))
    while True:
        distance = cv2.distanceTransform((~kept[labels]).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        gap = np.asarray(minimum(distance, labels, np.arange(count)))
        joined = kept | ((gap <= reach) & (weights > 0))
        if (joined == kept).all():
            break
        kept = joined
    if kept[1:].all():
        return foreground
    # A dropped piece goes with its soft border: every place belongs to the piece that is nearest to it.
    to_kept = cv2.distanceTransform((~kept[labels]).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    dropped = (labels > 0) & ~kept[labels]
    to_dropped = cv2.distanceTransform((~dropped).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(to_dropped < to_kept, 0.0, foreground).astype(np.float32)
