"""Real spherical harmonics up to degree 3 in the order and signs of 3DGS, and the colours that they give.

Source: Sloan, "Efficient Spherical Harmonic Evaluation", JCGT 2013.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SH_C0 = 0.28209479177387814


def sh_basis(dirs: Tensor, degree: int) -> Tensor:
    """Basis functions (N, (degree + 1)^2) at unit directions (N, 3)."""
    x, y, z = dirs.unbind(-1)  # (N,) each
    basis = [torch.full_like(x, SH_C0)]
    if degree >= 1:
        basis += [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x]
    if degree >= 2:
        basis += [
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (2 * z * z - x * x - y * y),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (x * x - y * y),
        ]
    if degree >= 3:
        basis += [
            -0.5900435899266435 * y * (3 * x * x - y * y),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (4 * z * z - x * x - y * y),
            0.3731763325901154 * z * (2 * z * z - 3 * x * x - 3 * y * y),
            -0.4570457994644658 * x * (4 * z * z - x * x - y * y),
            1.445305721320277 * z * (x * x - y * y),
            -0.5900435899266435 * x * (x * x - 3 * y * y),
        ]
    return torch.stack(basis, dim=-1)


def colors_from_sh(degree: int, means: Tensor, viewmat: Tensor, coefficients: Tensor) -> Tensor:
    """Colours (N, 3), never negative, of Gaussians at `means` (N, 3) as the camera of `viewmat` (4, 4) sees them.

    `viewmat` is camera_from_world and rigid; of `coefficients` (N, K, 3) the first (degree + 1)^2 count.
    """
    camera_in_world = -viewmat[:3, :3].T @ viewmat[:3, 3]
    basis = sh_basis(F.normalize(means - camera_in_world, dim=-1), degree)  # (N, B)
    colors = torch.einsum("nb,nbc->nc", basis, coefficients[:, : basis.shape[-1]])
    return (colors + 0.5).clamp_min(0)  # coefficients hold the colour's difference from middle grey
