"""A square of unknown side, fitted to all views of one tag at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.transform import Rotation

from tasks.geometry.similarity import align_points
from tasks.scale.triangulate import Bundle, refine_points, robust_weights

Array = NDArray[np.floating]
ITERATIONS = 50
MOST_BLOCKS = 10
UNIT_SQUARE = 0.5 * np.array([[-1, 1, 0], [1, 1, 0], [1, -1, 0], [-1, -1, 0]], float)  # order of detections, y down


@dataclass(frozen=True, kw_only=True)
class Square:
    """A tag as a square in space.

    Attributes:
        side: in the model's unit.
        corners: (4, 3) in the world.
        influence: (V,) what each view did to the logarithm of the side, as if it were left out (the jackknife's terms).
        formal_sigma: standard error of the logarithm of the side, from the corners' own noise alone.
        residual_px: root mean square distance between seen and projected corners.
        planarity: distance of the free corners from their plane, relative to the side.
        planarity_99: half the width of its 99 % interval.
        aspect: height by width of the free corners.
        aspect_99: half the width of its 99 % interval.
    """

    side: float
    corners: Array
    influence: Array
    formal_sigma: float
    residual_px: float
    planarity: float
    planarity_99: float
    aspect: float
    aspect_99: float


def fit_square(bundle: Bundle) -> Square | None:
    """Least squares over pose and side, whole views weighted down when they don't fit; None when it doesn't settle.

    The interval's raw material is the cluster-robust jackknife (CR3: A. C. Cameron and D. L. Miller, J. Human Resources 2015):
    a view's pose is wrong for all of its corners together, so that views, not corners, are what is independent.
    """
    free = refine_points(bundle)
    start = align_points(UNIT_SQUARE, free)
    rotation, centre, log_side = start.rotation, start.translation, float(np.log(max(start.scale, 1e-300)))
    normal, inverse = np.eye(7), np.eye(7)
    residuals, jacobian, weights, noise = np.zeros((0, 8)), np.zeros((0, 8, 7)), np.zeros(0), 1.0
    for _ in range(ITERATIONS):
        arms = np.exp(log_side) * UNIT_SQUARE @ rotation.T  # (4, 3)
        found, slopes = bundle.linearised(centre + arms)
        if not np.isfinite(found).all():
            return None
        weights, noise = robust_weights(found, bundle.sigmas)
        by_points = np.zeros((4, 3, 7))
        by_points[:, :, :3] = -_cross(arms)  # a turn in the world, w: arms + w x arms
        by_points[:, :, 3:6] = np.eye(3)
        by_points[:, :, 6] = arms  # the logarithm of the side
        jacobian = np.einsum("vcij,cjk->vcik", slopes, by_points).reshape(len(bundle), 8, 7)
        residuals = found.reshape(len(bundle), 8)
        normal = np.einsum("v,vri,vrj->ij", weights, jacobian, jacobian)
        scale = 1 / np.sqrt(np.maximum(np.diag(normal), 1e-300))
        try:
            inverse = np.linalg.inv(normal * np.outer(scale, scale) + 1e-12 * np.eye(7)) * np.outer(scale, scale)
        except np.linalg.LinAlgError:
            return None
        step = inverse @ np.einsum("v,vri,vr->i", weights, jacobian, residuals)
        step *= min(1.0, 0.3 / max(np.abs(step[[0, 1, 2, 6]]).max(), 1e-12))
        rotation = Rotation.from_rotvec(step[:3]).as_matrix() @ rotation
        centre = centre + step[3:6]
        log_side += float(step[6])
        if np.abs(step[[0, 1, 2, 6]]).max() < 1e-9:
            break
    else:
        return None
    side = float(np.exp(log_side))
    flatness, flatness_99, aspect, aspect_99 = _shape(bundle, free)
    return Square(
        side=side,
        corners=centre + side * UNIT_SQUARE @ rotation.T,
        influence=_influence(residuals, jacobian, weights, inverse),
        formal_sigma=float(noise * np.sqrt(inverse[6, 6])),
        residual_px=float(np.sqrt((residuals**2).sum(1).mean() / 4)),
        planarity=abs(flatness),
        planarity_99=flatness_99,
        aspect=aspect,
        aspect_99=aspect_99,
    )


def _cross(vectors: Array) -> Array:
    """(N, 3, 3) matrices [v]x."""
    x, y, z = vectors.T
    o = np.zeros_like(x)
    return np.stack([np.stack([o, -z, y], 1), np.stack([z, o, -x], 1), np.stack([-y, x, o], 1)], 1)


def _influence(residuals: Array, jacobian: Array, weights: Array, inverse: Array) -> Array:
    """(V,) change of the logarithm of the side by each view, its own pull on the fit taken out."""
    found = np.zeros(len(residuals))
    for v in range(len(residuals)):
        leverage = weights[v] * jacobian[v] @ inverse @ jacobian[v].T
        values, vectors = np.linalg.eigh(0.5 * (leverage + leverage.T))
        keep = np.maximum(1 - values, 0.05)  # a view that alone decides something can't be left out
        freed = vectors @ ((vectors.T @ residuals[v]) / keep)
        found[v] = (inverse @ (weights[v] * jacobian[v].T @ freed))[6]
    return found


def _shape(bundle: Bundle, free: Array) -> tuple[float, float, float, float]:
    """Planarity and aspect of the free corners (4, 3), each with the half-width of its 99 % interval.

    By leaving out one block of views after the other (the jackknife of M. H. Quenouille and J. W. Tukey).
    """
    blocks = np.array_split(np.arange(len(bundle)), min(len(bundle), MOST_BLOCKS))
    found = []
    for block in blocks:
        kept = np.ones(len(bundle), bool)
        kept[block] = False
        found.append(_flatness_and_aspect(refine_points(bundle.only(kept))) if kept.sum() >= 2 else (np.inf, np.inf))
    values = np.array(found)
    count = len(values)
    sigma = (
        np.sqrt((count - 1) / count * ((values - values.mean(0)) ** 2).sum(0)) if np.isfinite(values).all() else np.inf
    )
    wide = float(stats.t.ppf(0.995, count - 1)) * sigma * np.ones(2)
    flatness, aspect = _flatness_and_aspect(free)
    return flatness, float(wide[0]), aspect, float(wide[1])


def _flatness_and_aspect(points: Array) -> tuple[float, float]:
    """How far four corners lie off a plane, relative to their side (signed), and their height by their width."""
    across = 0.5 * (np.linalg.norm(points[1] - points[0]) + np.linalg.norm(points[2] - points[3]))
    along = 0.5 * (np.linalg.norm(points[3] - points[0]) + np.linalg.norm(points[2] - points[1]))
    normal = np.cross(points[2] - points[0], points[3] - points[1])
    # Four points lie off their plane by the same distance, signs alternating: half of the diagonals' gap.
    gap = float((points[1] - points[0]) @ normal) / max(float(np.linalg.norm(normal)), 1e-300) / 2
    return gap / max(float(0.5 * (across + along)), 1e-300), float(along / max(across, 1e-300))
