"""Upright, centred and of unit size: the frame in which the scene is handed on."""

from dataclasses import dataclass

import numpy as np
import pycolmap

from tasks.geometry.normalise import centre_of_view
from tasks.geometry.similarity import Similarity, rotation_between
from tasks.sfm.upright import Gravity, find_gravity


@dataclass(frozen=True, kw_only=True)
class Orientation:
    """What was found, and the similarity that was applied."""

    world_from_sfm: Similarity
    gravity: Gravity


def poses(model: pycolmap.Reconstruction) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3, 3) cam_from_world rotations and (N, 3) camera centres of the registered images, by name."""
    images = sorted((model.images[i] for i in model.reg_image_ids()), key=lambda image: image.name)
    matrices = np.stack([image.cam_from_world().matrix() for image in images])
    rotations = matrices[:, :, :3]
    return rotations, -np.einsum("nji,nj->ni", rotations, matrices[:, :, 3])


def typical_depths(model: pycolmap.Reconstruction, rotations: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(N,) median depth of the points that each registered image (by name) observes."""
    images = sorted((model.images[i] for i in model.reg_image_ids()), key=lambda image: image.name)
    depths = np.full(len(images), np.nan)
    for k, image in enumerate(images):
        ids = [p.point3D_id for p in image.points2D if p.has_point3D()]
        if ids:
            points = np.array([model.points3D[i].xyz for i in ids])
            depths[k] = np.median((points - centres[k]) @ rotations[k, 2])
    fallback = float(np.nanmedian(depths)) if np.isfinite(depths).any() else 1.0
    return np.where(np.isfinite(depths) & (depths > 0), depths, fallback)


def orient(model: pycolmap.Reconstruction, *, seed: int) -> Orientation:
    """Turn +Y to gravity, the centre of view to the origin, the mean distance of the cameras from it to 1; in place.

    The first camera (by name) looks along +Z as far as gravity allows, so that the frame doesn't depend on the mapper's.
    """
    rotations, centres = poses(model)
    points = np.array([p.xyz for p in model.points3D.values()]).reshape(-1, 3)
    gravity = find_gravity(rotations, points, seed=seed)
    turn = rotation_between(gravity.down, np.array([0.0, 1.0, 0.0]))
    ahead = turn @ rotations[0, 2]
    yaw = np.arctan2(ahead[0], ahead[2])
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]) @ turn
    centre = centre_of_view(centres, rotations[:, 2], typical_depths(model, rotations, centres))
    distance = float(np.linalg.norm(centres - centre, axis=1).mean())
    scale = 1.0 / max(distance, 1e-12)
    similarity = Similarity(scale=scale, rotation=turn, translation=-scale * turn @ centre)
    model.transform(pycolmap.Sim3d(scale, pycolmap.Rotation3d(turn), similarity.translation))
    return Orientation(world_from_sfm=similarity, gravity=gravity)
