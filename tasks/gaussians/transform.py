"""Gaussians in another unit."""

import math
from dataclasses import replace

import numpy as np

from tasks.gaussians.model import Gaussians


def in_unit(gaussians: Gaussians, factor: float) -> Gaussians:
    """The same scene with all lengths times `factor`: means (N, 3) and, as logarithms, scales (N, 3).

    Directions, opacities and colours don't depend on the unit.

    Args:
        factor: > 0, e.g. metres per unit.
    """
    if not (math.isfinite(factor) and factor > 0):
        raise ValueError(f"factor is {factor}; it must be positive")
    return replace(
        gaussians,
        means=(gaussians.means * np.float32(factor)).astype(np.float32),
        scales=(gaussians.scales + np.float32(math.log(factor))).astype(np.float32),
    )
