"""The readable rasteriser of 3D Gaussians: plain PyTorch, slow, differentiated by autograd, in float32 or float64.

It says what the fast ones must compute: `tasks.train.raster.native` (CPU) is tested against it, and so is gsplat
(CUDA). Signature and meaning are those of `gsplat.rasterization` 1.5.3 (Apache-2.0);
docs/decisions/0003-rasteriser-semantics.md lists what is equal and what is not.

Sources: Kerbl et al., "3D Gaussian Splatting for Real-Time Radiance Field Rendering", SIGGRAPH 2023; Zwicker et al.,
"EWA Splatting", 2002 (projection); Yu et al., "Mip-Splatting", CVPR 2024 (the compensation of the antialiased mode);
Radl et al., "StopThePop", SIGGRAPH 2024, section B.2 (extents that know the opacity).
"""

from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tasks.train.raster.harmonics import colors_from_sh

RenderMode = Literal["RGB", "D", "ED", "RGB+D", "RGB+ED"]
RasterizeMode = Literal["classic", "antialiased"]

ALPHA_MIN = 1 / 255  # a contribution below this would not change an 8-bit picture: skipped
ALPHA_MAX = 0.999  # keeps 1 - alpha away from zero, by which the backward pass divides
TRANSMITTANCE_MIN = 1e-4  # a pixel stops before the contribution that would bring it here or lower
FRUSTUM_MARGIN = 0.3  # the linearised projection is frozen this share of the half field of view outside the image
TILE = 16  # pixels; only bounds the memory: each pixel sees the same Gaussians whatever the tile


class Projection(NamedTuple):
    """N Gaussians as one camera sees them; only those that are `visible` mean anything."""

    means2d: Tensor  # (N, 2) pixels
    conics: Tensor  # (N, 3) inverse of the dilated 2D covariance: xx, xy, yy
    depths: Tensor  # (N,) z in the camera
    opacities: Tensor  # (N,) compensated when antialiased
    extents: Tensor  # (N, 2) half width and half height, in pixels, of the box in which alpha reaches ALPHA_MIN
    visible: Tensor  # (N,) bool


def rasterization(
    means: Tensor,  # (N, 3)
    quats: Tensor,  # (N, 4)
    scales: Tensor,  # (N, 3)
    opacities: Tensor,  # (N,)
    colors: Tensor,  # (N, K, 3) or (N, D)
    viewmats: Tensor,  # (C, 4, 4)
    Ks: Tensor,  # (C, 3, 3)
    width: int,
    height: int,
    *,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    backgrounds: Tensor | None = None,  # (C, D)
    rasterize_mode: RasterizeMode = "classic",
    render_mode: RenderMode = "RGB",
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render N Gaussians into C cameras.

    Args:
        means: centres in the world.
        quats: rotations, wxyz, of any length but zero.
        scales: standard deviations along the axes, linear (not logarithms).
        opacities: in [0, 1] (not logits).
        colors: spherical-harmonics coefficients (N, K, 3) with `sh_degree`, of which the first (sh_degree + 1)^2 count;
            without it plain colours (N, D) with any number of channels.
        viewmats: camera_from_world, rigid.
        Ks: pinhole intrinsics in pixels; (0, 0) is the corner of the first pixel, (0.5, 0.5) its centre.
        width, height: of the image, in pixels.
        near_plane, far_plane: Gaussians whose centre is nearer or farther are left out.
        eps2d: added to the 2D covariance's diagonal, in square pixels.
        backgrounds: shines through what is left; black without it. Depth channels have no background.
        rasterize_mode: "antialiased" dims each Gaussian by what the dilation added to its area.
        render_mode: "D" is the accumulated depth, the sum of w z; "ED" the expected one, divided by the sum of w.

    Returns:
        colours (C, H, W, D), alphas (C, H, W, 1), and a dict with `means2d` (C, N, 2), `radii` (C, N, 2; int32 pixels,
        0 where a Gaussian is not visible), `depths` (C, N), `conics` (C, N, 3), `opacities` (C, N), `width`, `height`,
        `n_cameras`.

    Raises:
        ValueError: shapes or modes that don't fit.
    """
    _check(means, quats, scales, opacities, colors, viewmats, Ks, width, height, sh_degree, backgrounds)
    if rasterize_mode not in ("classic", "antialiased"):
        raise ValueError(f"rasterize_mode is 'classic' or 'antialiased', not {rasterize_mode!r}")
    if render_mode not in ("RGB", "D", "ED", "RGB+D", "RGB+ED"):
        raise ValueError(f"render_mode is one of RGB, D, ED, RGB+D, RGB+ED, not {render_mode!r}")

    cuts = {"near_plane": near_plane, "far_plane": far_plane, "eps2d": eps2d}
    antialiased = rasterize_mode == "antialiased"
    views = [
        project(means, quats, scales, opacities, viewmat, K, width, height, antialiased=antialiased, **cuts)
        for viewmat, K in zip(viewmats, Ks, strict=True)
    ]
    means2d = torch.stack([v.means2d for v in views])  # (C, N, 2); drawn from, so that its gradient can be asked for
    images, alphas = [], []
    for c, (view, viewmat) in enumerate(zip(views, viewmats, strict=True)):
        seen = view._replace(means2d=means2d[c])
        features = []
        if "RGB" in render_mode:
            features.append(colors if sh_degree is None else colors_from_sh(sh_degree, means, viewmat, colors))
        if render_mode != "RGB":
            features.append(seen.depths[:, None])
        image, alpha = composite(seen, torch.cat(features, dim=-1), width, height)  # (H, W, D), (H, W, 1)
        if backgrounds is not None and "RGB" in render_mode:
            behind = backgrounds[c]  # (D,)
            if render_mode != "RGB":
                behind = F.pad(behind, (0, 1))
            image = image + (1 - alpha) * behind
        if render_mode.endswith("ED"):
            image = torch.cat([image[..., :-1], image[..., -1:] / alpha.clamp_min(1e-10)], dim=-1)
        images.append(image)
        alphas.append(alpha)

    radii = [torch.where(v.visible[:, None], v.extents.ceil().clamp_max(1e9), 0).to(torch.int32) for v in views]
    meta = {
        "means2d": means2d,  # (C, N, 2)
        "radii": torch.stack(radii),  # (C, N, 2)
        "depths": torch.stack([v.depths for v in views]),  # (C, N)
        "conics": torch.stack([v.conics for v in views]),  # (C, N, 3)
        "opacities": torch.stack([v.opacities for v in views]),  # (C, N)
        "width": width,
        "height": height,
        "n_cameras": len(viewmats),
    }
    return torch.stack(images), torch.stack(alphas), meta


def project(
    means: Tensor,  # (N, 3)
    quats: Tensor,  # (N, 4)
    scales: Tensor,  # (N, 3)
    opacities: Tensor,  # (N,)
    viewmat: Tensor,  # (4, 4)
    K: Tensor,  # (3, 3)
    width: int,
    height: int,
    *,
    near_plane: float,
    far_plane: float,
    eps2d: float,
    antialiased: bool,
) -> Projection:
    """Project the Gaussians into one camera, by the projection linearised at each centre (EWA)."""
    R, t = viewmat[:3, :3], viewmat[:3, 3]
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    x, y, z = (means @ R.T + t).unbind(-1)  # (N,) each
    in_depth = (z >= near_plane) & (z <= far_plane)
    # Those outside would divide by zero and spread NaN through the backward pass: put them anywhere harmless.
    x, y, z = torch.where(in_depth, x, 0), torch.where(in_depth, y, 0), torch.where(in_depth, z, 1)
    means2d = torch.stack([fx * x / z + cx, fy * y / z + cy], dim=-1)  # (N, 2)

    # Far outside the image the linearised projection is meaningless and huge: freeze it a little beyond the border.
    margin_x, margin_y = FRUSTUM_MARGIN * 0.5 * width / fx, FRUSTUM_MARGIN * 0.5 * height / fy
    tx = z * torch.clamp(x / z, -cx / fx - margin_x, (width - cx) / fx + margin_x)
    ty = z * torch.clamp(y / z, -cy / fy - margin_y, (height - cy) / fy + margin_y)
    zero = torch.zeros_like(z)
    J = torch.stack([fx / z, zero, -fx * tx / z**2, zero, fy / z, -fy * ty / z**2], dim=-1).reshape(-1, 2, 3)
    # Covariance = (J R M) (J R M)^T with M = rotation * scales.
    rows = J @ R @ (rotation_matrices(quats) * scales[:, None, :])  # (N, 2, 3)
    u, v = rows.unbind(1)  # (N, 3) each
    xx, xy, yy = (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1)  # (N,) each
    # The determinant as the squared area that u and v span (Lagrange's identity): xx * yy - xy^2 cancels to noise, even
    # to below zero, where a Gaussian is long and thin.
    det = torch.linalg.cross(u, v).square().sum(-1)
    det_dilated = det + eps2d * (xx + yy) + eps2d**2
    xx, yy = xx + eps2d, yy + eps2d
    conics = torch.stack([yy, -xy, xx], dim=-1) / det_dilated[:, None]  # (N, 3)
    if antialiased:
        # The square root's slope is infinite at zero, but there the Gaussian is invisible anyway (alpha < ALPHA_MIN).
        opacities = opacities * torch.sqrt((det / det_dilated).clamp_min(1e-12))

    with torch.no_grad():
        # opacity * exp(-r^2 / 2) = ALPHA_MIN at r standard deviations
        reach = torch.sqrt(2 * torch.log((opacities / ALPHA_MIN).clamp_min(1)))
        extents = reach[:, None] * torch.sqrt(torch.stack([xx, yy], dim=-1))  # (N, 2)
        size = means2d.new_tensor([width, height])
        on_image = ((means2d + extents > 0) & (means2d - extents < size)).all(-1)
        visible = in_depth & (opacities >= ALPHA_MIN) & on_image
    return Projection(means2d, conics, z, opacities, extents, visible)


def composite(seen: Projection, features: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Blend `features` (N, D) front to back over black: image (H, W, D) and alpha (H, W, 1)."""
    order = torch.argsort(seen.depths.detach(), stable=True)
    order = order[seen.visible[order]]
    # A hundredth of a pixel more, so that rounding here never hides what the exact test per pixel would let through.
    low, high = seen.means2d.detach() - seen.extents - 0.01, seen.means2d.detach() + seen.extents + 0.01  # (N, 2)
    bands = []
    for y0 in range(0, height, TILE):
        y1 = min(y0 + TILE, height)
        in_band = order[(low[order, 1] < y1) & (high[order, 1] > y0)]
        tiles = []
        for x0 in range(0, width, TILE):
            x1 = min(x0 + TILE, width)
            ids = in_band[(low[in_band, 0] < x1) & (high[in_band, 0] > x0)]  # (M,) front to back
            weights = _weights(seen, ids, x0, x1, y0, y1)  # (P, M)
            rendered = torch.cat([weights @ features[ids], weights.sum(-1, keepdim=True)], dim=-1)  # (P, D + 1)
            tiles.append(rendered.reshape(y1 - y0, x1 - x0, -1))
        bands.append(torch.cat(tiles, dim=1))
    image = torch.cat(bands, dim=0)  # (H, W, D + 1)
    return image[..., :-1], image[..., -1:]


def _weights(seen: Projection, ids: Tensor, x0: int, x1: int, y0: int, y1: int) -> Tensor:
    """What each of the M Gaussians `ids`, front to back, contributes to each of the P pixels of a rectangle: (P, M)."""
    like = {"dtype": seen.means2d.dtype, "device": seen.means2d.device}
    ys, xs = torch.meshgrid(torch.arange(y0, y1, **like) + 0.5, torch.arange(x0, x1, **like) + 0.5, indexing="ij")
    dx = seen.means2d[ids, 0] - xs.reshape(-1, 1)  # (P, M)
    dy = seen.means2d[ids, 1] - ys.reshape(-1, 1)
    xx, xy, yy = seen.conics[ids].unbind(-1)  # (M,) each
    power = 0.5 * (xx * dx**2 + yy * dy**2) + xy * dx * dy
    alphas = (seen.opacities[ids] * torch.exp(-power)).clamp_max(ALPHA_MAX)
    alphas = torch.where((power >= 0) & (alphas >= ALPHA_MIN), alphas, 0)
    with torch.no_grad():
        reached = torch.cumprod(1 - alphas, dim=-1) > TRANSMITTANCE_MIN
    alphas = torch.where(reached, alphas, 0)
    before = torch.cumprod(1 - F.pad(alphas, (1, 0)), dim=-1)[:, :-1]  # transmittance in front of each
    return alphas * before


def rotation_matrices(quats: Tensor) -> Tensor:
    """Rotation matrices (N, 3, 3) of quaternions (N, 4), wxyz, of any length but zero."""
    w, x, y, z = F.normalize(quats, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).reshape(-1, 3, 3)


def _check(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    sh_degree: int | None,
    backgrounds: Tensor | None,
) -> None:
    """Raise ValueError where shapes don't fit each other; broadcasting would hide it."""
    N, C = len(means), len(viewmats)
    expected = {
        "means": (means, (N, 3)),
        "quats": (quats, (N, 4)),
        "scales": (scales, (N, 3)),
        "opacities": (opacities, (N,)),
        "viewmats": (viewmats, (C, 4, 4)),
        "Ks": (Ks, (C, 3, 3)),
    }
    for name, (tensor, shape) in expected.items():
        if tensor.shape != shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}, expected {shape}")
    if sh_degree is None:
        if colors.ndim != 2 or len(colors) != N:
            raise ValueError(f"colors has shape {tuple(colors.shape)}, expected ({N}, D) without sh_degree")
    elif not 0 <= sh_degree <= 3:
        raise ValueError(f"sh_degree is 0 to 3, not {sh_degree}")
    elif colors.ndim != 3 or colors.shape[0] != N or colors.shape[2] != 3 or colors.shape[1] < (sh_degree + 1) ** 2:
        shape = f"({N}, at least {(sh_degree + 1) ** 2}, 3)"
        raise ValueError(f"colors has shape {tuple(colors.shape)}, expected {shape} for sh_degree {sh_degree}")
    channels = colors.shape[-1]
    if backgrounds is not None and backgrounds.shape != (C, channels):
        raise ValueError(f"backgrounds has shape {tuple(backgrounds.shape)}, expected {(C, channels)}")
    if width < 1 or height < 1:
        raise ValueError(f"the image is at least 1x1 pixels, not {width}x{height}")
    if C < 1:
        raise ValueError("at least one camera is needed")
