"""A made scene for the browser: its files as a job has them, and our own render of every held-out view."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
import torch
from numpy.typing import NDArray

from cli.demo import demo_cameras, demo_scene
from tasks.export.pictures import jpeg
from tasks.export.views import write_views
from tasks.gaussians.model import Gaussians
from tasks.gaussians.ply import write_ply
from tasks.gaussians.spz import write_spz
from tasks.geometry.framing import frame_scene, to_camera_json
from tasks.train.raster import native
from tests.support.posed import write_posed

WIDTH, HEIGHT = 320, 240
VIEWS, EVERY = 17, 8


@dataclass(frozen=True, kw_only=True)
class MadeScene:
    """Files by kind, the framing, and the renders (H, W, 3) of the held-out views by their number."""

    files: dict[str, bytes]
    camera: dict[str, dict[str, float]]
    renders: list[NDArray[np.uint8]]
    num_gaussians: int


def render(scene: Gaussians, viewmat: NDArray, K: NDArray, width: int, height: int) -> NDArray[np.uint8]:
    """Our rasteriser's picture (H, W, 3) of a scene on black, as metrics are computed on."""
    colors, _, _ = native.rasterization(
        torch.from_numpy(scene.means),
        torch.from_numpy(scene.quats),
        torch.from_numpy(scene.scales).exp(),
        torch.from_numpy(scene.opacities).sigmoid(),
        torch.from_numpy(scene.sh_coeffs),
        torch.from_numpy(viewmat.astype(np.float32))[None],
        torch.from_numpy(K.astype(np.float32))[None],
        width,
        height,
        sh_degree=scene.sh_degree,
    )
    return (colors[0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def made_scene(folder: Path) -> MadeScene:
    """The demo scene with colours that change with the direction, so that a mirrored axis or a wrong sign shows."""
    plain = demo_scene(coarseness=3.4)
    rng = np.random.default_rng(5)
    sh_coeffs = np.zeros((len(plain), 16, 3), np.float32)
    sh_coeffs[:, :1] = plain.sh_coeffs
    # One pattern for all, in steps that an SPZ holds exactly: what differs then is the viewer, not the file.
    sh_coeffs[:, 1:] = rng.integers(-1, 2, (1, 15, 3)) / 8
    scene = Gaussians(
        means=plain.means, quats=plain.quats, scales=plain.scales, opacities=plain.opacities, sh_coeffs=sh_coeffs
    )
    posed = write_posed(folder / "posed", views=VIEWS, width=WIDTH, height=HEIGHT, points=50, coarseness=3.4)
    model = pycolmap.Reconstruction(posed / "colmap")
    names = sorted(image.name for image in model.images.values())[::EVERY]
    cameras = demo_cameras(VIEWS, width=WIDTH, height=HEIGHT)
    renders = [render(scene, cameras.viewmats[i], cameras.Ks[i], WIDTH, HEIGHT) for i in range(0, VIEWS, EVERY)]
    write_ply(folder / "scene.ply", scene)
    write_spz(folder / "scene.spz", scene)
    write_views(folder / "views.zip", model, posed / "images", names)
    framing = frame_scene(cameras.viewmats, cameras.Ks, scene.means, 1 / (1 + np.exp(-scene.opacities)))
    files = {kind: (folder / name).read_bytes() for kind, name in NAMES.items()}
    return MadeScene(files=files, camera=to_camera_json(framing), renders=renders, num_gaussians=len(scene))


NAMES = {"ply": "scene.ply", "spz": "scene.spz", "views": "views.zip"}


def picture(shade: int) -> bytes:
    """A JPEG of one shade."""
    return jpeg(np.full((90, 160, 3), shade, np.uint8))


def psnr_db(a: NDArray, b: NDArray) -> float:
    """Of two pictures of 8 bits."""
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def depth_map(scene: Gaussians, viewmat: NDArray, K: NDArray, width: int, height: int) -> NDArray[np.float32]:
    """Depth (H, W) of what is seen; infinite where nothing is."""
    depths = scene.means @ viewmat[2, :3].astype(np.float32) + np.float32(viewmat[2, 3])
    values, alphas, _ = native.rasterization(
        torch.from_numpy(scene.means),
        torch.from_numpy(scene.quats),
        torch.from_numpy(scene.scales).exp(),
        torch.from_numpy(scene.opacities).sigmoid(),
        torch.from_numpy(np.repeat(depths[:, None], 3, 1)),
        torch.from_numpy(viewmat.astype(np.float32))[None],
        torch.from_numpy(K.astype(np.float32))[None],
        width,
        height,
    )
    alpha = alphas[0, ..., 0].numpy()
    return np.where(alpha > 0.9, values[0, ..., 0].numpy() / np.maximum(alpha, 1e-6), np.inf)
