"""Similarity transforms between coordinate frames."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """x_in_b = scale * rotation @ x_in_a + translation.

    Attributes:
        scale: > 0.
        rotation: (3, 3), determinant +1.
        translation: (3,).
    """

    scale: float
    rotation: np.ndarray  # (3, 3)
    translation: np.ndarray  # (3,)

    def apply(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) -> (N, 3)."""
        return self.scale * points @ self.rotation.T + self.translation

    def matrix(self) -> np.ndarray:
        """(4, 4) homogeneous matrix."""
        out = np.eye(4)
        out[:3, :3] = self.scale * self.rotation
        out[:3, 3] = self.translation
        return out


def align_points(a: np.ndarray, b: np.ndarray) -> Similarity:
    """The similarity b_from_a that takes (N, 3) points a nearest to b in the least-squares sense (Umeyama, PAMI 1991)."""
    mean_a, mean_b = a.mean(0), b.mean(0)
    da, db = a - mean_a, b - mean_b
    u, s, vt = np.linalg.svd(db.T @ da / len(a))
    sign = np.ones(3)
    if np.linalg.det(u) * np.linalg.det(vt) < 0:
        sign[2] = -1.0
    rotation = (u * sign) @ vt
    scale = float((s * sign).sum() / max((da**2).sum() / len(a), 1e-300))
    return Similarity(scale=scale, rotation=rotation, translation=mean_b - scale * rotation @ mean_a)


def rotation_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3, 3) smallest rotation that turns direction a (3,) into direction b (3,)."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    cosine = float(a @ b)
    if cosine < -1 + 1e-12:  # opposite: half a turn about any axis across
        axis = np.cross(a, np.eye(3)[int(np.abs(a).argmin())])
        axis /= np.linalg.norm(axis)
        return 2.0 * np.outer(axis, axis) - np.eye(3)
    v = np.cross(a, b)
    k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + k + k @ k / (1.0 + cosine)
