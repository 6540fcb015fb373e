"""The training loss in plain PyTorch: what CUDA trains with, and what the native extension's fused one must equal."""

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW_PX = 11
SIGMA_PX = 1.5
C1, C2 = 0.01**2, 0.03**2  # the SSIM paper's constants for values in [0, 1]


def l1_ssim_loss(render: Tensor, truth: Tensor, ssim_lambda: float) -> Tensor:
    """(1 - ssim_lambda) * L1 + ssim_lambda * (1 - SSIM) of two images (H, W, 3) in [0, 1], a scalar.

    Source: Kerbl et al., "3D Gaussian Splatting", 2023, equation 7. Raises ValueError when the shapes don't fit.
    """
    if render.shape != truth.shape or render.ndim != 3:
        raise ValueError(f"expected two images (H, W, 3), got {tuple(render.shape)} and {tuple(truth.shape)}")
    l1 = (render - truth).abs().mean()
    if ssim_lambda == 0:
        return l1
    return (1 - ssim_lambda) * l1 + ssim_lambda * (1 - ssim_map(render, truth).mean())


def ssim_map(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity (H, W, 3) about each pixel of two images (H, W, 3) in [0, 1].

    Gaussian window of 11 pixels and sigma 1.5; outside the image lies zero, as in the 3DGS training code, so the border
    counts too. Source: Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004.
    """
    mean_x, mean_y = _blur(x), _blur(y)  # (H, W, 3) each
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covar = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return luminance * (2 * covar + C2) / (var_x + var_y + C2)


def gaussian_window(like: Tensor) -> Tensor:
    """The window's weights (11,), which sum to one."""
    offsets = torch.arange(WINDOW_PX, dtype=like.dtype, device=like.device) - WINDOW_PX // 2
    weights = torch.exp(-(offsets**2) / (2 * SIGMA_PX**2))
    return weights / weights.sum()


def _blur(image: Tensor) -> Tensor:
    """The image (H, W, 3) blurred along both axes, zero beyond its border."""
    window = gaussian_window(image)
    planes = image.permute(2, 0, 1)[:, None]  # (3, 1, H, W)
    planes = F.conv2d(planes, window.view(1, 1, -1, 1), padding=(WINDOW_PX // 2, 0))
    planes = F.conv2d(planes, window.view(1, 1, 1, -1), padding=(0, WINDOW_PX // 2))
    return planes[:, 0].permute(1, 2, 0)
