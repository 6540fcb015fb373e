"""A posed folder with masks: a soft-edged ball of splats before a busy wall of others, alpha and colours known."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import torch
from torch import Tensor

from tasks.train.raster.native import rasterization
from tests.support.splats import look_at

SUBJECT, WALL = 500, 1_500  # splats
DISTANCE, WALL_DISTANCE = 4.0, 9.0


@dataclass(frozen=True, kw_only=True)
class MadeSubject:
    """Where it lies, and by image name the subject alone: premultiplied colour (H, W, 3) and alpha (H, W, 1), float32."""

    folder: Path
    alone: dict[str, tuple[np.ndarray, np.ndarray]]


def write_subject(folder: Path, *, views: int = 24, width: int = 96, height: int = 80, seed: int = 0) -> MadeSubject:
    """Write `images/`, `masks/` and `colmap/`; cameras go once around, two heights, the same lens for all."""
    g = torch.Generator().manual_seed(seed)
    ball, wall = _ball(g), _wall(g)
    both = [torch.cat(pair) for pair in zip(ball, wall, strict=True)]
    K = torch.tensor([[1.1 * width, 0, width / 2], [0, 1.1 * width, height / 2], [0, 0, 1]])
    for name in ("images", "masks", "colmap"):
        (folder / name).mkdir(parents=True)
    model = pycolmap.Reconstruction()
    params = [float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])]
    model.add_camera_with_trivial_rig(
        pycolmap.Camera(model="PINHOLE", width=width, height=height, params=params, camera_id=1)
    )
    alone = {}
    for index in range(views):
        angle = 2 * np.pi * index / views
        eye = DISTANCE * torch.tensor([np.sin(angle), (-0.35, 0.1)[index % 2], np.cos(angle)], dtype=torch.float32)
        viewmat = look_at(eye, torch.zeros(3), torch.tensor([0.0, 1.0, 0.0]))
        name = f"frame_{index:06d}.png"
        picture, _ = _render(both, viewmat, K, width, height)
        colour, alpha = _render(ball, viewmat, K, width, height)
        cv2.imwrite(str(folder / "images" / name), cv2.cvtColor(_bytes(picture), cv2.COLOR_RGB2BGR))
        cv2.imwrite(str(folder / "masks" / name), _bytes(alpha[..., 0]))
        alone[name] = (colour, alpha)
        image = pycolmap.Image(name=name, camera_id=1, image_id=index + 1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(viewmat[:3].double().numpy()))
    for i in range(0, len(both[0]), 2):
        color = (both[4][i].clamp(0, 1) * 255).numpy().astype(np.uint8)
        model.add_point3D(both[0][i].double().numpy(), pycolmap.Track(), color)
    model.write(str(folder / "colmap"))
    return MadeSubject(folder=folder, alone=alone)


def _ball(g: torch.Generator) -> list[Tensor]:
    """Dense within, a fringe of faint splats about it."""
    directions = torch.nn.functional.normalize(torch.randn(SUBJECT, 3, generator=g), dim=1)
    radii = 0.7 + 0.2 * torch.rand(SUBJECT, 1, generator=g)
    means = directions * radii
    colors = (
        0.5 + 0.4 * torch.sin(4 * means + torch.tensor([0.0, 2.0, 4.0])) + 0.1 * torch.randn(SUBJECT, 3, generator=g)
    )
    opacities = torch.where(radii[:, 0] < 0.82, 0.95, 0.3)
    return [means, _quats(SUBJECT), torch.full((SUBJECT, 3), 0.07), opacities, colors.clamp(0, 1)]


def _wall(g: torch.Generator) -> list[Tensor]:
    """A shell beyond the cameras, of loud colours."""
    means = WALL_DISTANCE * torch.nn.functional.normalize(
        torch.randn(WALL, 3, generator=g) * torch.tensor([1.0, 0.6, 1.0]), dim=1
    )
    return [
        means, _quats(WALL), torch.full((WALL, 3), 0.5), torch.full((WALL,), 0.9), torch.rand(WALL, 3, generator=g),
    ]  # fmt: skip


def _quats(count: int) -> Tensor:
    return torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1)


def _render(splats: list[Tensor], viewmat: Tensor, K: Tensor, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    images, alphas, _ = rasterization(*splats, viewmat[None], K[None], width, height)
    return images[0].numpy(), alphas[0].numpy()


def _bytes(image: np.ndarray) -> np.ndarray:
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
