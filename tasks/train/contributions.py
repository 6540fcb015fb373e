"""How much each Gaussian colours in a view, and how much of that lies inside a mask."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.train.backend import Backend
from tasks.train.dataset import View, resized
from tasks.train.parameters import Parameters


def contributions(
    params: Parameters, view: View, mask: NDArray[np.uint8], side_px: int, backend: Backend
) -> tuple[Tensor, Tensor]:
    """Pixels (N,) of the view at `side_px` that each Gaussian colours, by its part in each, and (N,) those of them inside `mask` (H, W)."""
    small, K = resized(mask, view.K, side_px)
    inside = torch.from_numpy(small.astype(np.float32) / np.float32(255)).to(backend.device)
    colors = torch.zeros(len(params), 3, device=backend.device, requires_grad=True)
    image = render_colors(params, colors, view, K, inside.shape[1], inside.shape[0], backend)
    # the gradient of a picture with respect to a Gaussian's colour is its part in every pixel
    image.backward(torch.stack([torch.ones_like(inside), inside, torch.zeros_like(inside)], -1))
    assert colors.grad is not None
    return colors.grad[:, 0].clone(), colors.grad[:, 1].clone()


def render_colors(
    params: Parameters, colors: Tensor, view: View, K: NDArray[np.float32], width: int, height: int, backend: Backend
) -> Tensor:
    """(height, width, 3) of the scene in other colours (N, 3), on black; differentiable with respect to these alone."""
    images, _, _ = backend.rasterization(
        params.means.detach(), params.quats.detach(), torch.exp(params.scales.detach()), torch.sigmoid(params.opacities.detach()),
        colors, torch.from_numpy(view.viewmat)[None].to(backend.device), torch.from_numpy(K)[None].to(backend.device), width, height,
    )  # fmt: skip
    return images[0]
