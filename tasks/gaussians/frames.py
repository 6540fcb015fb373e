"""Between RDF (x right, y down, z forward: our world, COLMAP, 3DGS PLY) and RUB (x right, y up, z backward: SPZ, glTF).

Half a turn about x: y and z change sign, and with them the same components of a quaternion and those coefficients of the
spherical harmonics that are odd in y and z together. It is its own inverse.
"""

import numpy as np
from numpy.typing import NDArray

FLIP = np.array([1, -1, -1], np.float32)  # of positions, and of a quaternion's x, y, z
FLIP_SH = np.array([-1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1], np.float32)  # of coefficients 1 to 15


def normalised(quats: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit quaternions (N, 4) wxyz of finite ones of any length; what has no direction turns nothing."""
    quats = quats / np.maximum(np.abs(quats).max(1, keepdims=True), np.finfo(np.float32).tiny)  # no square overflows
    length = np.sqrt((quats * quats).sum(1, keepdims=True))
    unit = quats / np.maximum(length, np.float32(0.5))
    unit[length[:, 0] < 0.5] = np.array([1, 0, 0, 0], np.float32)
    return unit.astype(np.float32)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)) in float32, 0 for a hopelessly transparent logit."""
    with np.errstate(over="ignore"):  # 1 / inf is right
        return np.float32(1) / (np.float32(1) + np.exp(-logits))
