"""A subject that turns before a room, ray-cast with its mask: as on a turntable, or as a walk around it would show it."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pycolmap

from tests.support.raycast import Quad, look_at, noise_texture, render, room

AXIS = np.array([0.0, 0.0, 0.1])  # a point on the vertical axis that the subject turns about


@dataclass(frozen=True, kw_only=True)
class Shot:
    """Attributes:
    image: (H, W) uint8; alpha: (H, W) uint8, 255 = subject.
    cam_from_subject: (3, 4).
    """

    image: np.ndarray
    alpha: np.ndarray
    cam_from_subject: np.ndarray


def subject(seed: int = 3) -> list[Quad]:
    """Two textured boxes, one on the other, about one unit wide, around the axis."""
    rng = np.random.default_rng(seed)
    quads = []
    for x, z, side, low, high in ((-0.5, -0.4, 1.0, 0.4, 1.0), (-0.3, -0.1, 0.5, -0.2, 0.4)):
        height = high - low
        for origin, u, v in (
            ([x, low, z], [side, 0, 0], [0, height, 0]),
            ([x, low, z + side], [side, 0, 0], [0, height, 0]),
            ([x, low, z], [0, 0, side], [0, height, 0]),
            ([x + side, low, z], [0, 0, side], [0, height, 0]),
            ([x, low, z], [side, 0, 0], [0, 0, side]),
        ):
            quads.append(Quad(origin=np.array(origin), u=np.array(u), v=np.array(v), texture=noise_texture(rng)))
    return quads


def about_axis(degrees: float) -> np.ndarray:
    """(3, 4) turn about the vertical axis through AXIS."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return np.concatenate([rotation, (AXIS - rotation @ AXIS)[:, None]], 1)


def moved(quads: list[Quad], by: np.ndarray) -> list[Quad]:
    """The quads after a rigid motion (3, 4)."""
    r, t = by[:, :3], by[:, 3]
    return [replace(q, origin=r @ q.origin + t, u=r @ q.u, v=r @ q.v) for q in quads]


def flat(quads: list[Quad], value: float) -> list[Quad]:
    """The quads in one shade."""
    return [replace(q, texture=np.full_like(q.texture, value)) for q in quads]


def shoot(camera: pycolmap.Camera, angles_deg: list[float], *, table: bool) -> list[Shot]:
    """Views of the subject in a textured room from all these angles: with a `table` the subject turns, else the camera goes round."""
    things, walls = subject(), room(seed=11)[:5]
    eye = look_at(np.array([0.0, -0.7, -2.1]), np.array([0.0, 0.45, 0.1]))
    shots = []
    for angle in angles_deg:
        turn = about_axis(angle)
        cam_from_subject = np.concatenate([eye[:, :3] @ turn[:, :3], (eye[:, :3] @ turn[:, 3] + eye[:, 3])[:, None]], 1)
        if table:
            seen, pose = moved(things, turn), eye
        else:
            seen, pose = things, cam_from_subject
        shots.append(
            Shot(
                image=render(walls + seen, camera, pose),
                alpha=render(flat(walls, 0.0) + flat(seen, 255.0), camera, pose),
                cam_from_subject=cam_from_subject,
            )
        )
    return shots


def write_masks(folder: Path, names: list[str], alphas: list[np.ndarray], *, background: str) -> None:
    """What the mask step writes, as far as structure from motion reads it."""
    (folder / "masks").mkdir(parents=True)
    for name, alpha in zip(names, alphas, strict=True):
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), alpha)
    (folder / "mask.json").write_text(json.dumps({"background": background}))
