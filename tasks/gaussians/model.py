"""The Gaussian splat scene in memory, as NumPy arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COEFFS_OF_DEGREE = (1, 4, 9, 16)  # spherical-harmonics coefficients per colour channel, degree 0 to 3


@dataclass(frozen=True, kw_only=True)
class Gaussians:
    """N Gaussians in the world frame of `docs/conventions.md`, float32, in the parametrisation of the 3DGS PLY.

    Raises ValueError when the shapes don't fit each other.
    """

    means: NDArray[np.float32]  # (N, 3)
    quats: NDArray[np.float32]  # (N, 4) wxyz, need not be normalised
    scales: NDArray[np.float32]  # (N, 3) natural logarithm of the standard deviation
    opacities: NDArray[np.float32]  # (N,) logit
    sh_coeffs: NDArray[np.float32]  # (N, K, 3), K = 1, 4, 9 or 16

    def __post_init__(self) -> None:
        count = len(self.means)
        coeffs = self.sh_coeffs.shape[1] if self.sh_coeffs.ndim == 3 else 0
        expected = {"means": (count, 3), "quats": (count, 4), "scales": (count, 3), "opacities": (count,)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected {shape}")
        if coeffs not in COEFFS_OF_DEGREE or self.sh_coeffs.shape != (count, coeffs, 3):
            raise ValueError(f"sh_coeffs has shape {self.sh_coeffs.shape}, expected ({count}, 1|4|9|16, 3)")

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        """Degree of the spherical harmonics, 0 to 3."""
        return COEFFS_OF_DEGREE.index(self.sh_coeffs.shape[1])
