"""Depth of single views: exact on planes, honest about haze, silent at edges."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cli.demo_surfaces import Cover, Patch, cover, plane
from tasks.gaussians.model import Gaussians
from tasks.mesh.depth import DepthMap, DepthRenderer, facing, points_in_camera
from tasks.mesh.views import MeshView
from tasks.train.backend import choose_backend
from tests.mesh.scenes import gaussians, patches
from tests.support.raycast import look_at

WIDTH, HEIGHT, FOCAL_PX = 120, 100, 130.0


def view(eye: tuple[float, float, float], target: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> MeshView:
    """A camera at `eye` that looks at `target`, its principal point off centre."""
    pose = np.eye(4, dtype=np.float32)
    pose[:3] = look_at(np.array(eye), np.array(target))
    K = np.array([[FOCAL_PX, 0, WIDTH / 2 + 7.3], [0, FOCAL_PX, HEIGHT / 2 - 4.1], [0, 0, 1]], np.float32)
    return MeshView(name="a.jpg", viewmat=pose, K=K, width=WIDTH, height=HEIGHT, mask_path=None)


def floor(spacing: float = 0.15) -> Cover:
    """The plane y = 0, of splats so large that a staircase would show."""
    place = plane(np.array([-6.0, 0, 6.0]), np.array([12.0, 0, 0]), np.array([0, 0, -12.0]))
    return cover(Patch(place=place, texture=patches, size=(12, 12), spacing=spacing, seed=0))


def rendered(scene: Gaussians, camera: MeshView) -> DepthMap:
    """Depth of a scene."""
    return DepthRenderer(scene, choose_backend("cpu", 2), antialiased=False).render(camera)


def world(item: DepthMap, camera: MeshView) -> np.ndarray:
    """(N, 3) points of a depth map."""
    points = points_in_camera(item.depth, camera.K)[item.depth > 0].astype(np.float64)
    pose = camera.viewmat.astype(np.float64)
    return (points - pose[:3, 3]) @ pose[:3, :3]


@pytest.mark.parametrize("height", [3.0, 1.2, 0.7])
def test_a_plane_is_flat_at_any_slant(height: float) -> None:
    """Splats of 0.08 seen at down to 13 degrees, where the blended depth of their centres is a staircase."""
    camera = view((0.0, -height, -3.0))
    scene = gaussians(floor())
    found = rendered(scene, camera)
    off = np.abs(world(found, camera)[:, 1])
    assert len(off) > 0.5 * WIDTH * HEIGHT
    assert np.median(off) < 0.004
    assert np.percentile(off, 95) < 0.025

    images, _, _ = choose_backend("cpu", 2).rasterization(
        *(torch.from_numpy(a) for a in (scene.means, scene.quats, np.exp(scene.scales))),
        torch.from_numpy(scene.opacities).sigmoid(), torch.from_numpy(scene.sh_coeffs), torch.from_numpy(camera.viewmat)[None],
        torch.from_numpy(camera.K)[None], WIDTH, HEIGHT, sh_degree=0, render_mode="ED",
    )  # fmt: skip
    centres = np.where(found.depth > 0, images[0, ..., 0].numpy(), 0)
    assert np.median(off) < 0.1 * np.median(np.abs(world(replace(found, depth=centres), camera)[:, 1]))


def test_haze_before_a_surface_is_seen_through() -> None:
    """A veil of 25 % moves a mean of depths by a tenth; it must not move the surface."""
    wall = cover(
        Patch(
            place=plane(np.array([-3.0, 3, 0.0]), np.array([6.0, 0, 0]), np.array([0, -6.0, 0])),
            texture=patches,
            size=(6, 6),
            spacing=0.1,
            seed=0,
        )
    )
    scene = gaussians(wall)
    veil = gaussians(wall)
    both = Gaussians(
        means=np.concatenate([scene.means, veil.means + np.array([0.02, 0.03, -1.5], np.float32)]),
        quats=np.concatenate([scene.quats, veil.quats]),
        scales=np.concatenate([scene.scales, veil.scales]),
        opacities=np.concatenate([scene.opacities, np.full(len(veil), -2.5, np.float32)]),
        sh_coeffs=np.concatenate([scene.sh_coeffs, veil.sh_coeffs]),
    )
    camera = view((0.0, 0.0, -4.0))
    off = np.abs(world(rendered(both, camera), camera)[:, 2])
    assert len(off) > 0.8 * WIDTH * HEIGHT
    assert np.percentile(off, 99) < 0.01


def test_what_is_half_transparent_has_no_depth() -> None:
    scene = gaussians(floor())
    thin = Gaussians(**{**vars(scene), "opacities": np.full(len(scene), -4.0, np.float32)})
    assert not (rendered(thin, view((0.0, -3.0, -3.0))).depth > 0).any()


def test_steps_and_grazing_surfaces_face_nobody() -> None:
    K = np.array([[100.0, 0, 50], [0, 100.0, 40], [0, 0, 1]], np.float32)
    depth = np.full((80, 100), 2.0, np.float32)
    depth[:, 60:] = 2.5
    depth[10, 10] = 0
    cosine = facing(depth, K)
    assert (cosine[20:-20, 57:63] < 0.17)[:, 1:5].all()  # both sides of the step
    assert (cosine[20:-20, 20:50] > 0.85).all()
    assert cosine[10, 10] == 0
    assert cosine[10, 12] == 0  # its normal can't be known
    assert facing(np.ones((3, 3), np.float32), K).sum() == 0


def test_masks_are_applied(tmp_path: Path) -> None:
    import cv2

    mask = np.zeros((200, 240), np.uint8)  # at twice the size
    mask[:, 120:] = 255
    cv2.imwrite(str(tmp_path / "a.png"), mask)
    camera = view((0.0, -3.0, -3.0))
    masked = MeshView(**{**vars(camera), "mask_path": tmp_path / "a.png"})
    depth = rendered(gaussians(floor()), masked).depth
    assert not (depth[:, :60] > 0).any()
    assert (depth[10:-10, 66:-6] > 0).mean() > 0.9
