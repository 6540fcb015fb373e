"""Pictures of a scene for people: small ones while it trains, and the one that frames it at the end."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.geometry.framing import frame_scene, to_camera_json, viewmat
from tasks.train.backend import Backend
from tasks.train.dataset import Dataset, View
from tasks.train.evaluate import write_image
from tasks.train.parameters import Parameters
from tasks.train.render import render_with_alpha
from tasks.train.subject import on_neutral_ground

PREVIEW_SIDE_PX = 960
LIVE_PREVIEW_SIDE_PX = 480


def render_small(
    params: Parameters,
    view: View,
    pose: NDArray[np.floating],
    side_px: int,
    backend: Backend,
    *,
    antialiased: bool,
) -> NDArray[np.floating]:
    """The scene seen from `pose` (4, 4) with the lens of `view`, the long side at `side_px`; a subject alone on the neutral ground."""
    factor = min(1.0, side_px / max(view.width, view.height))
    width, height = max(1, round(view.width * factor)), max(1, round(view.height * factor))
    K = view.K.copy()
    K[0] *= width / view.width
    K[1] *= height / view.height
    image, alpha = render_with_alpha(
        params, backend, pose.astype(np.float32), K, width, height, antialiased=antialiased
    )
    return image if view.mask_path is None else on_neutral_ground(image, alpha)


def write_final_preview(
    params: Parameters, dataset: Dataset, out: Path, backend: Backend, *, antialiased: bool
) -> dict[str, Any]:
    """Frame the scene, render the preview from there, and return the framing as camera.json has it."""
    views = dataset.views
    framing = frame_scene(
        np.stack([v.viewmat for v in views]),
        np.stack([v.K for v in views]),
        params.means.detach().cpu().numpy(),
        torch.sigmoid(params.opacities).detach().cpu().numpy(),
    )
    image = render_small(
        params, views[framing.view], viewmat(framing), PREVIEW_SIDE_PX, backend, antialiased=antialiased
    )
    write_image(out / "preview.png", image)
    return to_camera_json(framing)
