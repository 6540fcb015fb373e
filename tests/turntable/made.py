"""A ball of coloured splats with cameras around it, as folders of the steps before; and framings without any folder."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray

from tasks.gaussians.model import Gaussians
from tasks.gaussians.ply import write_ply
from tasks.geometry.framing import Framing, frame_scene, to_camera_json, viewmat
from tasks.turntable.path import Filmed

Array = NDArray[np.float64]
UP = (0.0, -1.0, 0.0)
WIDTH, HEIGHT, FOCAL_PX = 150, 100, 140.0


def ring(degrees: Array, *, distance: float = 3.0, height: float = 0.6) -> Array:
    """(V, 3) places about the origin, so many degrees around, above the ground by `height`."""
    angles = np.radians(degrees)
    return np.stack([distance * np.sin(angles), np.full(len(angles), -height), -distance * np.cos(angles)], 1)


def filmed(cameras: Array, *, own: int = 0, points: Array | None = None, look_at: Array | None = None) -> Filmed:
    """What is known where these cameras look at the origin, framed from one of them."""
    x, y, z = cameras[own].tolist()
    at = (0.0, 0.0, 0.0) if look_at is None else tuple(look_at.tolist())
    surface = np.zeros((0, 3)) if points is None else points
    return Filmed(framing=Framing(position=(x, y, z), look_at=at, up=UP, view=own), cameras=cameras, points=surface)


def ball(count: int = 400) -> Gaussians:
    """Opaque splats on a sphere of radius 0.8, red to one side, blue to the other, green up."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(count, 3))
    means *= 0.8 / np.linalg.norm(means, axis=1, keepdims=True)
    return Gaussians(
        means=means.astype(np.float32),
        quats=np.tile(np.float32([1, 0, 0, 0]), (count, 1)),
        scales=np.full((count, 3), np.log(0.09), np.float32),
        opacities=np.full(count, 3.0, np.float32),
        sh_coeffs=(means[:, None, :] * [1.2, -1.2, -1.2]).astype(np.float32),
    )


@dataclass(frozen=True, kw_only=True)
class Folders:
    """What the step reads; `framing` is the one that camera.json holds."""

    trained: Path
    posed: Path
    framing: Framing
    K: Array


def write_folders(folder: Path, cameras: Array, *, masked: bool = False) -> Folders:
    """The ball, filmed from these places."""
    trained, posed = folder / "trained", folder / "posed"
    for path in (trained, posed / "colmap", posed / "images", *([posed / "masks"] if masked else [])):
        path.mkdir(parents=True)
    scene = ball()
    write_ply(trained / "scene.ply", scene)
    model = pycolmap.Reconstruction()
    params = [FOCAL_PX, FOCAL_PX, WIDTH / 2, HEIGHT / 2]
    lens = pycolmap.Camera(model="PINHOLE", width=WIDTH, height=HEIGHT, params=params, camera_id=1)
    model.add_camera_with_trivial_rig(lens)
    poses = []
    for number, place in enumerate(cameras.tolist()):
        poses.append(viewmat(Framing(position=tuple(place), look_at=(0.0, 0.0, 0.0), up=UP, view=number)))
        image = pycolmap.Image(name=f"{number:03d}.jpg", camera_id=1, image_id=number + 1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(poses[-1][:3]))
    for xyz in scene.means[:50]:
        model.add_point3D(xyz.astype(np.float64), pycolmap.Track(), np.zeros(3, np.uint8))
    model.write(posed / "colmap")
    K = np.array([[FOCAL_PX, 0, WIDTH / 2], [0, FOCAL_PX, HEIGHT / 2], [0, 0, 1]])
    opacities = 1 / (1 + np.exp(-scene.opacities))
    framing = frame_scene(np.stack(poses), np.stack([K] * len(poses)), scene.means, opacities)
    (trained / "camera.json").write_text(json.dumps(to_camera_json(framing)))
    (trained / "train.json").write_text(json.dumps({"options": {"antialiased": False}}))
    return Folders(trained=trained, posed=posed, framing=framing, K=K)
