"""Real spherical harmonics to degree 3, by their definition."""

import numpy as np


def basis(directions: np.ndarray) -> np.ndarray:
    """(N, 3) unit directions -> (N, 16) in the order and with the signs of 3DGS."""
    x, y, z = directions.T
    one = np.ones_like(x)
    pi = np.pi
    return np.stack(
        [
            0.5 * np.sqrt(1 / pi) * one,
            *(-np.sqrt(3 / (4 * pi)) * y, np.sqrt(3 / (4 * pi)) * z, -np.sqrt(3 / (4 * pi)) * x),
            np.sqrt(15 / (4 * pi)) * x * y,
            -np.sqrt(15 / (4 * pi)) * y * z,
            np.sqrt(5 / (16 * pi)) * (3 * z * z - 1),
            -np.sqrt(15 / (4 * pi)) * x * z,
            np.sqrt(15 / (16 * pi)) * (x * x - y * y),
            -np.sqrt(35 / (32 * pi)) * y * (3 * x * x - y * y),
            np.sqrt(105 / (4 * pi)) * x * y * z,
            -np.sqrt(21 / (32 * pi)) * y * (5 * z * z - 1),
            np.sqrt(7 / (16 * pi)) * z * (5 * z * z - 3),
            -np.sqrt(21 / (32 * pi)) * x * (5 * z * z - 1),
            np.sqrt(105 / (16 * pi)) * z * (x * x - y * y),
            -np.sqrt(35 / (32 * pi)) * x * (x * x - 3 * y * y),
        ],
        1,
    )
