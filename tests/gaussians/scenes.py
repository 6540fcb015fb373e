"""Hypothesis strategies of small scenes."""

import numpy as np
from hypothesis import strategies as st

from tasks.gaussians.model import COEFFS_OF_DEGREE, Gaussians


def made(count: int, degree: int, seed: int, *, reach: float = 3.0) -> Gaussians:
    """`count` Gaussians, the same for the same seed, all attributes within what SPZ can tell apart."""
    rng = np.random.default_rng(seed)
    return Gaussians(
        means=rng.uniform(-reach, reach, (count, 3)).astype(np.float32),
        quats=(rng.normal(size=(count, 4)) * rng.uniform(0.1, 10, (count, 1))).astype(np.float32),
        scales=rng.uniform(-9, 2, (count, 3)).astype(np.float32),
        opacities=rng.uniform(-5, 5, count).astype(np.float32),
        sh_coeffs=np.concatenate(
            [
                rng.uniform(-3, 3, (count, 1, 3)),
                rng.uniform(-0.9, 0.9, (count, COEFFS_OF_DEGREE[degree] - 1, 3)),
            ],
            1,
        ).astype(np.float32),
    )


degrees = st.integers(0, 3)
scenes = st.builds(made, count=st.integers(1, 40), degree=degrees, seed=st.integers(0, 2**32 - 1))
large_scenes = st.builds(
    made,
    count=st.integers(1, 40),
    degree=st.just(0),
    seed=st.integers(0, 2**32 - 1),
    reach=st.floats(1.0, 8e6, allow_nan=False),
)


def wild(count: int, degree: int, seed: int) -> Gaussians:
    """Any finite float32 whatever, bit patterns drawn at random, zeros among them."""
    rng = np.random.default_rng(seed)

    def floats(*shape: int) -> np.ndarray:
        values = rng.integers(0, 2**32, shape, dtype=np.uint32).view(np.float32)
        return np.where(np.isfinite(values) & (rng.random(shape) > 0.1), values, np.float32(0))

    return Gaussians(
        means=floats(count, 3),
        quats=floats(count, 4),
        scales=floats(count, 3),
        opacities=floats(count),
        sh_coeffs=floats(count, COEFFS_OF_DEGREE[degree], 3),
    )


wild_scenes = st.builds(wild, count=st.integers(1, 20), degree=degrees, seed=st.integers(0, 2**32 - 1))
