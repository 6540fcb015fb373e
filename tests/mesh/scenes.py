"""Scenes of flat splats on a surface that a formula gives, filmed from all around; the truth is a fine mesh of the same formula."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pycolmap
from numpy.typing import NDArray

from cli.demo_surfaces import Cover, Patch, cover, sphere
from tasks.gaussians.model import Gaussians
from tasks.gaussians.ply import write_ply
from tasks.mesh.clean import Mesh
from tasks.mesh.depth import points_in_camera
from tasks.mesh.raycast import Raycaster
from tasks.mesh.views import read_views
from tests.support.raycast import look_at

Array = NDArray[np.float64]
SH_C0 = 0.28209479177387814
SIZE = 2.28  # long side of the bumpy ball
WIDTH, HEIGHT, FOCAL_PX, DISTANCE = 176, 160, 190.0, 3.4


def bumpy_ball(s: Array, t: Array) -> Array:
    """A ball of radius 1 with dents and bumps of 0.1; s goes around, t from the lower end (y = +1) up."""
    around, up = 2 * np.pi * s, np.pi * (np.clip(t, 1e-3, 1 - 1e-3) - 0.5)
    radius = 1.1 + 0.1 * np.cos(up) ** 2 * np.sin(3 * around + 0.5) * np.sin(4 * up + 0.3)
    ring = np.cos(up)
    return radius[:, None] * np.stack([ring * np.cos(around), -np.sin(up), ring * np.sin(around)], 1)


def patches(u: Array, v: Array, seed: int) -> Array:
    """Large patches of three colours, away from the ends of the scale."""
    return np.stack([0.5 + 0.4 * np.sign(np.sin(2 * u)), 0.5 + 0.3 * np.sin(v + seed), np.full(len(u), 0.2)], 1)


def ball_cover(spacing: float = 0.035) -> Cover:
    """Splats on the bumpy ball."""
    return cover(Patch(place=bumpy_ball, texture=patches, size=(6.9, 3.5), spacing=spacing, seed=0))


def small_ball_cover() -> Cover:
    """A little ball that floats beside the large one and doesn't belong to it."""
    place = sphere(np.array([0.95, -0.9, 0.95]), 0.1)
    return cover(Patch(place=place, texture=patches, size=(0.63, 0.31), spacing=0.025, seed=1))


def wall_cover() -> Cover:
    """A far shell behind everything, seen from inside."""
    place = sphere(np.zeros(3), 14.0)
    return cover(Patch(place=place, texture=patches, size=(88.0, 44.0), spacing=0.6, seed=2))


def gaussians(*covers: Cover) -> Gaussians:
    """The covers as one scene, opaque, without shading."""
    whole = {name: np.concatenate([getattr(c, name) for c in covers]) for name in vars(covers[0])}
    return Gaussians(
        means=whole["means"].astype(np.float32),
        quats=whole["quats"].astype(np.float32),
        scales=np.log(whole["scales"]).astype(np.float32),
        opacities=np.full(len(whole["means"]), 4.0, np.float32),
        sh_coeffs=((whole["albedo"] - 0.5) / SH_C0).astype(np.float32)[:, None, :],
    )


def truth(place: Callable[[Array, Array], Array] = bumpy_ball, *, columns: int = 600, rows: int = 300) -> Mesh:
    """The surface itself as a fine mesh."""
    s, t = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    index = np.arange((rows + 1) * (columns + 1)).reshape(rows + 1, columns + 1)
    a, b, c, d = (x.ravel() for x in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    vertices = place(s.ravel(), t.ravel()).astype(np.float32)
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)
    return Mesh(vertices=vertices, faces=faces, normals=np.zeros_like(vertices), colors=np.zeros_like(vertices))


def around(
    count: int = 34, *, distance: float = DISTANCE, target: tuple[float, float, float] = (0, 0, 0)
) -> list[Array]:
    """(3, 4) cam_from_world of level cameras on a spiral about the target, none straight above or below."""
    poses = []
    for i in range(count):
        height = 0.95 - 1.9 * i / (count - 1)
        turn = 2 * np.pi * i * 0.381966
        ring = np.sqrt(1 - height**2)
        eye = np.array(target) + distance * np.array([ring * np.cos(turn), height, ring * np.sin(turn)])
        poses.append(look_at(eye, np.array(target, float)))
    return poses


@dataclass(frozen=True, kw_only=True)
class Folders:
    """What the mesh step reads."""

    trained: Path
    posed: Path


def write_folders(folder: Path, scene: Gaussians, poses: list[Array], *, unit: float = 1.0) -> Folders:
    """`trained/scene.ply` and `posed/colmap`; with `unit`, everything in a unit that is so much smaller."""
    trained, posed = folder / "trained", folder / "posed"
    trained.mkdir(parents=True)
    (posed / "colmap").mkdir(parents=True)
    (posed / "images").mkdir()  # empty: a mesh is made of the scene alone
    scaled = Gaussians(
        means=scene.means * np.float32(unit),
        quats=scene.quats,
        scales=scene.scales + np.float32(np.log(unit)),
        opacities=scene.opacities,
        sh_coeffs=scene.sh_coeffs,
    )
    write_ply(trained / "scene.ply", scaled)
    model = pycolmap.Reconstruction()
    params = [FOCAL_PX, FOCAL_PX, WIDTH / 2, HEIGHT / 2]
    model.add_camera_with_trivial_rig(
        pycolmap.Camera(model="PINHOLE", width=WIDTH, height=HEIGHT, params=params, camera_id=1)
    )
    for index, pose in enumerate(poses):
        scaled_pose = np.concatenate([pose[:, :3], pose[:, 3:] * unit], 1)
        image = pycolmap.Image(name=f"{index:06d}.jpg", camera_id=1, image_id=index + 1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(scaled_pose))
    model.add_point3D(np.zeros(3), pycolmap.Track(), np.zeros(3, np.uint8))
    model.write(posed / "colmap")
    return Folders(trained=trained, posed=posed)


def write_masks(posed: Path, keep: Callable[[Array], NDArray[np.bool_]] | None) -> None:
    """`posed/masks`: where the bumpy ball is seen, of it only the points that `keep` keeps; without it nothing."""
    masks = posed / "masks"
    masks.mkdir()
    caster = Raycaster(truth(columns=300, rows=150))
    views = read_views(posed, side_px=WIDTH)
    for view in views.training + views.held_out:
        depth = caster.cast(view)[0]
        pose = view.viewmat.astype(np.float64)
        points = (points_in_camera(depth, view.K) - pose[:3, 3]) @ pose[:3, :3]
        mask = (depth > 0) & keep(points.reshape(-1, 3)).reshape(depth.shape) if keep else np.zeros(depth.shape, bool)
        cv2.imwrite(str((masks / view.name).with_suffix(".png")), mask.astype(np.uint8) * 255)
