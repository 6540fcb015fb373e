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
    with torch.no_grad():
        images, _, _ = backend.rasterization(
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
        )
    return images[0].cpu().numpy()
