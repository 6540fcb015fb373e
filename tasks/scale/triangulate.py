"""Corners of one tag in space, from all views that see it and agree about where it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.scale.detect import Sighting
from tasks.scale.views import TagView

Array = NDArray[np.floating]
MOST_PAIRS = 400
LEAST_PAIR_ANGLE = np.deg2rad(1.0)
HUBER = 2.0  # in standard deviations
ITERATIONS = 20


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What all views that see one tag know.

    Attributes:
        views: (V,) index of each view.
        rotations: (V, 3, 3) cam_from_world.
        centres: (V, 3).
        focals, principals: (V, 2) pixels.
        corners: (V, 4, 2) pixels.
        sigmas: (V,) pixels.
    """

    views: NDArray[np.int64]
    rotations: Array
    centres: Array
    focals: Array
    principals: Array
    corners: Array
    sigmas: Array

    def __len__(self) -> int:
        return len(self.views)

    def only(self, chosen: NDArray[np.bool_]) -> "Bundle":
        """The chosen views (V,) of it."""
        return Bundle(**{name: value[chosen] for name, value in vars(self).items()})

    def directions(self) -> Array:
        """(V, 4, 3) unit vectors in the world from each camera to each corner."""
        rays = (self.corners - self.principals[:, None]) / self.focals[:, None]
        rays = np.concatenate([rays, np.ones_like(rays[..., :1])], -1)
        rays = np.einsum("vci,vij->vcj", rays, self.rotations)
        return rays / np.linalg.norm(rays, axis=-1, keepdims=True)

    def residuals(self, points: Array) -> Array:
        """(V, 4, 2) pixels between seen and projected corners (4, 3); infinite behind a camera."""
        return self.linearised(points)[0]

    def linearised(self, points: Array) -> tuple[Array, Array]:
        """`residuals`, and (V, 4, 2, 3) the derivative of the projections by the points."""
        local = np.einsum("vij,vcj->vci", self.rotations, points[None] - self.centres[:, None])
        depth = np.where(local[..., 2] > 1e-12, local[..., 2], np.nan)
        xy = local[..., :2] / depth[..., None]
        residuals = self.corners - (xy * self.focals[:, None] + self.principals[:, None])
        by_local = np.zeros((*local.shape[:2], 2, 3))
        by_local[..., 0, 0] = by_local[..., 1, 1] = 1
        by_local[..., 2] = -xy
        by_local *= self.focals[:, None, :, None] / depth[..., None, None]
        return np.where(np.isfinite(residuals), residuals, np.inf), np.einsum(
            "vcij,vjk->vcik", by_local, self.rotations
        )


def gather(views: Sequence[TagView], sightings: Sequence[Sighting]) -> Bundle:
    """The bundle of one tag's sightings."""
    seen = [views[s.view] for s in sightings]
    return Bundle(
        views=np.array([s.view for s in sightings], np.int64),
        rotations=np.stack([v.rotation for v in seen]),
        centres=np.stack([v.centre for v in seen]),
        focals=np.stack([v.focal for v in seen]),
        principals=np.stack([v.principal for v in seen]),
        corners=np.stack([s.corners for s in sightings]),
        sigmas=np.array([s.sigma_px for s in sightings]),
    )


def angle_between(bundle: Bundle) -> float:
    """Radians between the farthest two rays to the tag's middle."""
    middles = bundle.directions().mean(1)
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    return float(np.arccos(np.clip((middles @ middles.T).min(), -1, 1)))


def agreeing(bundle: Bundle, *, threshold_px: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(V,) the largest set of views that see all four corners where the others see them (RANSAC over pairs of views).

    Nothing is chosen when not even two views agree, or none see it from different places.
    """
    count = len(bundle)
    none = np.zeros(count, bool)
    if count < 2:
        return none
    directions = bundle.directions()
    middles = directions.mean(1) / np.linalg.norm(directions.mean(1), axis=1, keepdims=True)
    first, second = np.triu_indices(count, 1)
    angles = np.arccos(np.clip(np.einsum("pi,pi->p", middles[first], middles[second]), -1, 1))
    pairs = np.flatnonzero(angles >= LEAST_PAIR_ANGLE)
    if len(pairs) > MOST_PAIRS:
        pairs = rng.choice(pairs, MOST_PAIRS, replace=False)
    best, best_score = none, -np.inf
    for pair in pairs:
        chosen = [first[pair], second[pair]]
        points = intersect(bundle.centres[chosen], directions[chosen])
        errors = _view_errors(bundle, points)
        score = float(np.maximum(0, 1 - (errors / threshold_px) ** 2).sum())
        if score > best_score:
            best, best_score = errors < threshold_px, score
    for _ in range(5):  # with all that agree instead of two of them
        if best.sum() < 2:
            return none
        again = _view_errors(bundle, refine_points(bundle.only(best))) < threshold_px
        if (again == best).all() or again.sum() < best.sum():
            break
        best = again
    return best


def _view_errors(bundle: Bundle, points: Array) -> Array:
    """(V,) the worst corner's distance in each view, in pixels."""
    return np.linalg.norm(bundle.residuals(points), axis=2).max(1)


def intersect(centres: Array, directions: Array) -> Array:
    """(4, 3) points nearest to the rays from centres (V, 3) along directions (V, 4, 3)."""
    projectors = np.eye(3) - directions[..., :, None] * directions[..., None, :]  # (V, 4, 3, 3)
    a = projectors.sum(0) + 1e-12 * np.eye(3)
    return np.linalg.solve(a, np.einsum("vcij,vj->ci", projectors, centres)[..., None])[..., 0]


def robust_weights(residuals: Array, sigmas: Array) -> tuple[Array, float]:
    """(V,) weights 1/px^2, and the noise relative to `sigmas`: a whole view counts less when it doesn't fit (Huber)."""
    relative = np.sqrt((residuals**2).sum((1, 2)) / 8) / sigmas
    noise = max(1.0, float(np.median(relative)) / 0.97)  # 0.97: median of the root mean square of 8 normal numbers
    return np.minimum(1.0, HUBER * noise / np.maximum(relative, 1e-12)) / sigmas**2, noise


def refine_points(bundle: Bundle) -> Array:
    """(4, 3) corners that lie nearest to where all views see them, in pixels, each free of the others."""
    points = intersect(bundle.centres, bundle.directions())
    for _ in range(ITERATIONS):
        residuals, slopes = bundle.linearised(points)
        if not np.isfinite(residuals).all():
            return points
        weights, _ = robust_weights(residuals, bundle.sigmas)
        normal = np.einsum("v,vcij,vcik->cjk", weights, slopes, slopes)
        step = np.linalg.solve(
            normal + 1e-12 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(3),
            np.einsum("v,vcij,vci->cj", weights, slopes, residuals)[..., None],
        )[..., 0]
        points = points + step
        if np.abs(step).max() < 1e-9 * max(np.abs(points).max(), 1e-9):
            break
    return points
