"""Gravity from the cameras and from the scene.

People hold cameras level: the cameras' x axes lie across gravity whichever way they look, and their y axes point mostly down.
Floors, tables and walls then sharpen the answer, when there are any.
"""

from dataclasses import dataclass

import numpy as np

DOWN_WEIGHT = 0.1  # how much the y axes count against the x axes, which say it better when the camera turned round
PLANE_TRIALS = 400
PLANE_POINTS = 4000
PLANE_TOLERANCE = 0.01  # thickness of a plane, in units of the scene's median extent
MIN_PLANE_SHARE = 0.15
MAX_PLANE_TILT_DEG = 12.0
MAX_LOOSE_TILT_DEG = 40.0
MIN_X_SPREAD = 0.1  # of the x axes' second eigenvalue: they fan out over 40 degrees or so


@dataclass(frozen=True, kw_only=True)
class Gravity:
    """Attributes:
    down: (3,) unit vector.
    roll_deg: mean absolute roll of the cameras about it; large when the cameras don't agree.
    source: "cameras" or "cameras and planes".
    """

    down: np.ndarray  # (3,)
    roll_deg: float
    source: str


def down_from_cameras(rotations: np.ndarray) -> np.ndarray:
    """(3,) down from (N, 3, 3) cam_from_world rotations: across the x axes, along the mean y axis."""
    x_axes, y_axes = rotations[:, 0], rotations[:, 1]
    mean_y = y_axes.mean(0)
    cost = np.einsum("ni,nj->ij", x_axes, x_axes) / len(rotations) - DOWN_WEIGHT * np.outer(mean_y, mean_y)
    down = np.linalg.eigh(cost)[1][:, 0]
    return down if down @ mean_y >= 0 else -down


def dominant_planes(points: np.ndarray, *, seed: int, count: int = 3) -> list[tuple[np.ndarray, float]]:
    """Up to `count` planes by RANSAC, largest first: (unit normal (3,), share of the points)."""
    rng = np.random.default_rng(seed)
    if len(points) > PLANE_POINTS:
        points = points[rng.choice(len(points), PLANE_POINTS, replace=False)]
    total = len(points)
    tolerance = PLANE_TOLERANCE * float(np.median(np.linalg.norm(points - np.median(points, 0), axis=1)))
    planes: list[tuple[np.ndarray, float]] = []
    while len(points) >= 50 and len(planes) < count:
        trio = points[rng.integers(0, len(points), (PLANE_TRIALS, 3))]
        normals = np.cross(trio[:, 1] - trio[:, 0], trio[:, 2] - trio[:, 0])
        lengths = np.linalg.norm(normals, axis=1)
        normals = normals[lengths > 1e-12] / lengths[lengths > 1e-12, None]
        offsets = (normals * trio[lengths > 1e-12, 0]).sum(1)
        if not len(normals):
            break
        best = int((np.abs(points @ normals.T - offsets) < tolerance).sum(0).argmax())
        inside = np.abs(points @ normals[best] - offsets[best]) < tolerance
        members = points[inside]
        normal = np.linalg.svd(members - members.mean(0), full_matrices=False)[2][2]
        planes.append((normal, len(members) / total))
        points = points[~inside]
    return planes


def find_gravity(rotations: np.ndarray, points: np.ndarray, *, seed: int = 0) -> Gravity:
    """Down in the model's frame.

    Args:
        rotations: (N, 3, 3) cam_from_world.
        points: (M, 3) scene points, may be few.
    """
    down = down_from_cameras(rotations)
    source = "cameras"
    x_axes = rotations[:, 0]
    spread = np.linalg.eigvalsh(np.einsum("ni,nj->ij", x_axes, x_axes) / len(rotations))[1]
    # Cameras that never turned round can't tell gravity from their own pitch: then planes may tilt it further, about the
    # cameras' x axes only.
    loose = spread < MIN_X_SPREAD
    limit_deg = MAX_LOOSE_TILT_DEG if loose else MAX_PLANE_TILT_DEG
    across = x_axes.mean(0) / max(float(np.linalg.norm(x_axes.mean(0))), 1e-12)
    planes = dominant_planes(points, seed=seed) if len(points) >= 50 else []
    planes = [(normal, share) for normal, share in planes if share >= MIN_PLANE_SHARE]
    level = []
    for normal, share in planes:
        rolled = abs(float(normal @ across)) > np.sin(np.deg2rad(MAX_PLANE_TILT_DEG))
        if abs(float(normal @ down)) > np.cos(np.deg2rad(limit_deg)) and not (loose and rolled):
            level.append((normal * np.sign(normal @ down), share))
    # Small-angle correction t across `down`: a level plane wants down + t parallel to its normal, a wall wants it across.
    equations: list[tuple[float, np.ndarray, np.ndarray]] = []  # weight, rows, right-hand side
    if level:
        down = level[0][0]
        limit_deg = MAX_PLANE_TILT_DEG
        source = "cameras and planes"
    for normal, share in planes:
        along = float(normal @ down)
        if abs(along) < np.sin(np.deg2rad(limit_deg)):
            equations.append((share, normal[None], np.array([-along])))
    if equations:
        prior = 1.0 if level else 0.1  # what is known already, so that one wall alone can't tilt the other way
        a = np.concatenate([np.sqrt(prior) * np.eye(3), *(np.sqrt(w) * row for w, row, _ in equations)])
        b = np.concatenate([np.zeros(3), *(np.sqrt(w) * target for w, _, target in equations)])
        down = down + np.linalg.lstsq(a, b, rcond=None)[0]
        source = "cameras and planes"
    down /= np.linalg.norm(down)
    roll = np.rad2deg(np.abs(np.arcsin(np.clip(rotations[:, 0] @ down, -1, 1))))
    return Gravity(down=down, roll_deg=float(roll.mean()), source=source)
