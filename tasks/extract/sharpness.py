"""How sharp a picture is, independent of its contrast and content.

Crete, Dolmiere, Ladret, Nicolas: "The blur effect: perception and estimation with a new no-reference perceptual blur
metric", SPIE 2007. A sharp picture loses much of its neighbour-to-neighbour variation when it is blurred again, a
blurred one little. Per direction, so that motion blur along one axis counts in full.
"""

import cv2
import numpy as np

ANALYSIS_SIDE_PX = 960  # long side of the picture that is judged; smaller pictures are judged as they are
_BLUR_PX = 9


def blur_score(grey: np.ndarray) -> float:
    """0 (as sharp as it gets) to 1 (nothing but blur), of the blurrier direction.  grey: (H, W) uint8"""
    return max(_axis_blur(grey, 1), _axis_blur(grey, 0))


def _axis_blur(grey: np.ndarray, axis: int) -> float:
    kernel = (_BLUR_PX, 1) if axis == 1 else (1, _BLUR_PX)
    again = cv2.blur(grey, kernel, borderType=cv2.BORDER_REPLICATE)
    before, after = _variation(grey, axis), _variation(again, axis)
    total = cv2.sumElems(before)[0]
    if total == 0:
        return 1.0
    lost = cv2.sumElems(cv2.subtract(before, after))[0]  # saturates at 0, as the paper's max(0, ...)
    return float(1 - lost / total)


def _variation(grey: np.ndarray, axis: int) -> np.ndarray:
    if axis == 1:
        return np.asarray(cv2.absdiff(grey[:, 1:], grey[:, :-1]))
    return np.asarray(cv2.absdiff(grey[1:], grey[:-1]))
