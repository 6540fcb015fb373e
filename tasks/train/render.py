"""One picture of the parameters, without gradients."""

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.train.backend import Backend
from tasks.train.parameters import Parameters


def render(
    params: Parameters,
    backend: Backend,
    viewmat: NDArray[np.float32],  # (4, 4)
    K: NDArray[np.float32],  # (3, 3)
    width: int,
    height: int,
    *,
    antialiased: bool,
) -> NDArray[np.float32]:
    """The view (height, width, 3) on black, not clipped."""
    return render_with_alpha(params, backend, viewmat, K, width, height, antialiased=antialiased)[0]


def render_with_alpha(
    params: Parameters,
    backend: Backend,
    viewmat: NDArray[np.float32],  # (4, 4)
    K: NDArray[np.float32],  # (3, 3)
    width: int,
    height: int,
    *,
    antialiased: bool,
    near_plane: float = 0.01,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The view (height, width, 3) on black, not clipped, and its alpha (height, width, 1); `near_plane` in the scene's unit."""
    with torch.no_grad():
        images, alphas, _ = backend.rasterization(
            params.means,
            params.quats,
            torch.exp(params.scales),
            torch.sigmoid(params.opacities),
            params.sh_coeffs,
            torch.from_numpy(viewmat)[None].to(backend.device),
            torch.from_numpy(K)[None].to(backend.device),
            width,
            height,
            sh_degree=params.sh_degree,
            rasterize_mode="antialiased" if antialiased else "classic",
            near_plane=near_plane,
        )
    return images[0].cpu().numpy(), alphas[0].cpu().numpy()
