"""A view that shows a scene well, chosen from its cameras."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks.geometry.normalise import centre_of_view

Vector = tuple[float, float, float]

WORLD_UP = np.array([0.0, -1.0, 0.0])
MIN_OPACITY = 0.2  # what is fainter is haze, not a surface
MAX_POINTS = 20_000  # enough for a median
CENTRAL = 0.5  # part of the half width and half height of a picture that its subject is looked for in
MIN_POINTS_SEEN = 20
MAX_TURN_DEG = 20.0  # from the chosen camera's own direction; further away is not what was filmed from there
NEAREST, FARTHEST = 0.3, 1.5  # of the look-at point, in depths of what the camera sees
STEEP_COSINE = np.cos(np.radians(8.0))  # nearer to the vertical than this, up says nothing
MAX_TILT_COSINE = np.cos(np.radians(50.0))  # cameras tilted further from the world's up: this world is not upright


@dataclass(frozen=True, kw_only=True)
class Framing:
    """A view in the RDF world frame.

    Attributes:
        position: of the eye.
        look_at: the point in the middle of the picture; what a viewer turns about.
        up: unit vector.
        view: index of the camera whose place it is; its K and size fit.
    """

    position: Vector
    look_at: Vector
    up: Vector
    view: int


def frame_scene(viewmats: ArrayLike, Ks: ArrayLike, means: ArrayLike, opacities: ArrayLike) -> Framing:
    """The place of the most representative camera, turned to what all cameras look at.

    Representative: near the middle of the cameras and turned to the focus point, at a usual depth. The look-at point is
    limited to the depths that this camera sees, so that a viewer that turns about it turns about something. Floaters
    don't matter: only medians are taken, and only of what is in the middle of a picture and not transparent.

    Args:
        viewmats: (V, 4, 4) camera_from_world, V >= 1.
        Ks: (V, 3, 3); the picture is taken to be twice as large as its principal point.
        means: (N, 3) in the world, N >= 0.
        opacities: (N,) in [0, 1].
    """
    poses = np.asarray(viewmats, np.float64)
    intrinsics = np.asarray(Ks, np.float64)
    R, t = poses[:, :3, :3], poses[:, :3, 3]
    centres = -np.einsum("vji,vj->vi", R, t)  # (V, 3)
    axes = R[:, 2]  # (V, 3) viewing directions
    points = _surfaces(np.asarray(means, np.float64), np.asarray(opacities, np.float64))
    depths = _depths(points, R, t, intrinsics, centres)
    focus = centre_of_view(centres, axes, depths)

    view = _representative(centres, axes, depths, focus)
    centre, axis, depth = centres[view], axes[view], depths[view]
    offset = focus - centre
    distance = float(np.linalg.norm(offset))
    direction = offset / distance if distance > 0 else axis
    if float(direction @ axis) < np.cos(np.radians(MAX_TURN_DEG)):
        direction, distance = axis, float(depth)
    distance = float(np.clip(distance, NEAREST * depth, FARTHEST * depth))
    return Framing(
        position=_vector(centre),
        look_at=_vector(centre + distance * direction),
        up=_vector(_up(-R[:, 1], direction, view)),
        view=view,
    )


def viewmat(framing: Framing) -> NDArray[np.float64]:
    """camera_from_world (4, 4), RDF, of the framing; with the K of `framing.view` it renders the preview."""
    position, look_at, up = (np.array(v) for v in (framing.position, framing.look_at, framing.up))
    forward = look_at - position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    out = np.eye(4)
    out[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    out[:3, 3] = -out[:3, :3] @ position
    return out


def to_camera_json(framing: Framing) -> dict[str, dict[str, float]]:
    """`{position, lookAt, up}` in the Y-up frame (x, -y, -z) of camera.json and the SPZ, each `{x, y, z}`."""

    def flipped(vector: Vector) -> dict[str, float]:
        x, y, z = vector
        return {"x": x + 0.0, "y": 0.0 - y, "z": 0.0 - z}  # not -y, which may be -0.0

    return {"position": flipped(framing.position), "lookAt": flipped(framing.look_at), "up": flipped(framing.up)}


def _surfaces(means: NDArray[np.float64], opacities: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M, 3) finite, opaque points, thinned evenly."""
    points = means[np.isfinite(means).all(1) & (opacities >= MIN_OPACITY)]
    return points[:: max(1, -(-len(points) // MAX_POINTS))]


def _depths(
    points: NDArray[np.float64],
    R: NDArray[np.float64],
    t: NDArray[np.float64],
    Ks: NDArray[np.float64],
    centres: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(V,) median depth of what is in the middle of each picture; where there is nothing, that of the others."""
    found = np.full(len(R), np.nan)
    for view, K in enumerate(Ks):
        x, y, z = R[view] @ points.T + t[view][:, None]
        ahead = z > 1e-9
        x, y, z = x[ahead], y[ahead], z[ahead]
        # |u - cx| <= CENTRAL * cx, and so for v: the middle half of the picture
        inside = (np.abs(K[0, 0] * x) <= CENTRAL * K[0, 2] * z) & (np.abs(K[1, 1] * y) <= CENTRAL * K[1, 2] * z)
        if inside.sum() >= MIN_POINTS_SEEN:
            found[view] = np.median(z[inside])
    if np.isnan(found).all():
        spread = float(np.linalg.norm(centres - centres.mean(0), axis=1).mean())
        return np.full(len(R), spread if spread > 0 else 1.0)
    return np.where(np.isnan(found), np.nanmedian(found), found)


def _representative(
    centres: NDArray[np.float64], axes: NDArray[np.float64], depths: NDArray[np.float64], focus: NDArray[np.float64]
) -> int:
    """Index of the camera nearest to the middle of all, turned to the focus and at a usual distance from it."""
    middle = np.median(centres, axis=0)
    aside = np.linalg.norm(centres - middle, axis=1)
    aside /= max(float(np.median(aside)), 1e-9)
    offsets = focus - centres
    distances = np.linalg.norm(offsets, axis=1)
    cosines = (offsets * axes).sum(1) / np.maximum(distances, 1e-9)
    angles = np.arccos(np.clip(cosines, -1, 1))  # radians off the focus
    usual = np.abs(np.log(depths / np.median(depths)))
    return int(np.argmin(aside + 4.0 * angles + usual))


def _up(ups: NDArray[np.float64], direction: NDArray[np.float64], view: int) -> NDArray[np.float64]:
    """The world's up; where that says nothing (a look straight down, a world that isn't upright) the cameras' own."""
    mean = ups.mean(0)
    length = float(np.linalg.norm(mean))
    upright = length < 0.1 or float(mean @ WORLD_UP) / length > MAX_TILT_COSINE
    candidates = [WORLD_UP if upright else mean / length, ups[view]]
    for up in candidates:
        if abs(float(up @ direction)) < STEEP_COSINE:
            return up
    return ups[view]


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(v) + 0.0 for v in values)
    return x, y, z
