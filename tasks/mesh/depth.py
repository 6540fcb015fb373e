"""Depth of a trained scene as one of its cameras sees it.

What a rasteriser of splats calls depth, the blended depth of the centres, is a staircase on a slanted surface, since each splat
counts as facing the camera. Here each splat is a piece of surface: in (u, v, 1/z), where planes stay planes, its 1/z given
the pixel is linear, with a slope that follows from its covariance (the idea of RaDe-GS, Zhang et al. 2024; exact for flat
splats). So three "colours" a splat, blended as any colours, give the depth of that surface.

Haze and what shines through drag a mean towards them. So a splat only counts where it agrees with the depth found at its centre,
and the depth is blended again from those alone, with less and less tolerance; the part of the opacity that they hold says how
far the pixel can be trusted. Where there is no texture, training leaves a translucent slab behind the surface instead of one
layer; so the splats are taken to be twice as dense then, and the front of the slab counts more.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.gaussians.model import Gaussians
from tasks.mesh.views import MeshView
from tasks.train.backend import Backend

NEAR = 0.01
EPS2D = 0.3  # square pixels; what the rasterisers dilate by
# Relative depth within which a splat belongs to the surface, time after time, and the least part of a pixel's opacity that must
# belong to it then: less, and another surface, or haze, is seen as much. The last, finest one only sharpens.
SURFACE = ((0.20, 0.0), (0.10, 0.0), (0.05, 0.3), (0.02, 0.1))
DENSITY = 2.0  # times as dense as trained: measured on the demo, the median error over its surfaces is nil then
MIN_ALPHA = 0.5
MIN_COSINE = 0.17  # a surface seen at more than 80 degrees, or no surface but the step between two
REACH_PX = 2  # normals are taken over so many pixels to each side: over one, they are mostly noise


@dataclass(frozen=True, kw_only=True)
class DepthMap:
    """One view's surface.

    Attributes:
        depth: (H, W) float32, z in the camera; 0 where there is none that can be trusted.
        weight: (H, W) float32 in [0, 1]: how squarely the surface is seen times how sure it is; 0 where depth is 0.
        rgb: (H, W, 3) uint8, the scene's own picture, sRGB.
    """

    depth: NDArray[np.float32]
    weight: NDArray[np.float32]
    rgb: NDArray[np.uint8]


class DepthRenderer:
    """Renders depth maps of one scene; holds its tensors on the backend's device."""

    def __init__(self, gaussians: Gaussians, backend: Backend, *, antialiased: bool) -> None:
        def tensor(array: NDArray[np.float32]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(backend.device)

        self._backend = backend
        self._means = tensor(gaussians.means)
        self._quats = tensor(gaussians.quats)
        self._scales = tensor(gaussians.scales).exp()
        self._axes = (
            _rotations(self._quats) * self._scales[:, None, :]
        )  # (N, 3, 3) columns: each axis, as long as its deviation
        self._opacities = tensor(gaussians.opacities).sigmoid()
        self._denser = 1 - (1 - self._opacities) ** DENSITY
        self._sh = tensor(gaussians.sh_coeffs)
        self._degree = gaussians.sh_degree
        self._mode = "antialiased" if antialiased else "classic"

    def render(self, view: MeshView) -> DepthMap:
        """The surface and the picture of one view; masked where the view has a mask.

        Raises BadPosedInput when the view's mask can't be read.
        """
        before = torch.get_num_threads()
        if self._backend.device.type == "cpu":
            torch.set_num_threads(1)  # the rasteriser uses all cores; two pools of threads on them wait for each other
        try:
            with torch.no_grad():
                return self._render(view)
        finally:
            torch.set_num_threads(before)

    def _render(self, view: MeshView) -> DepthMap:
        rgb, _ = self._blend(view, self._sh, sh_degree=self._degree)
        planes, depths, at = self._surfaces(view)
        total, alpha = self._blend(view, planes)
        inverse = _evaluated(total, view) / alpha.clamp_min(1e-6)
        part, sure = torch.zeros_like(inverse), alpha >= MIN_ALPHA
        for tolerance, least in SURFACE:
            here = inverse[at[:, 1], at[:, 0]]  # (N,) what is seen at each centre
            trusted = (depths * here - 1).abs() < tolerance
            trusted = trusted.to(planes.dtype)[:, None]
            total, front = self._blend(view, planes * trusted, opacities=self._denser)
            held, _ = self._blend(view, trusted.expand(-1, 3).contiguous(), opacities=self._denser)
            inverse = _evaluated(total, view) / held[..., 0].clamp_min(1e-6)
            part = held[..., 0] / front.clamp_min(1e-6)
            sure &= part >= least
        sure &= inverse > 0
        depth = torch.where(sure, 1 / inverse.clamp_min(1e-9), 0.0).cpu().numpy().astype(np.float32)
        mask = view.mask()
        if mask is not None:
            depth[~mask] = 0
        cosine = facing(depth, view.K)
        depth[cosine < MIN_COSINE] = 0
        weight = np.where(depth > 0, cosine * (alpha * part).clamp(0, 1).cpu().numpy(), 0).astype(np.float32)
        picture = (rgb.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        return DepthMap(depth=depth, weight=weight, rgb=picture)

    def _blend(
        self, view: MeshView, colors: Tensor, *, sh_degree: int | None = None, opacities: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Blended colours (H, W, 3) on black and alpha (H, W)."""
        images, alphas, _ = self._backend.rasterization(
            self._means, self._quats, self._scales, self._opacities if opacities is None else opacities, colors,
            torch.from_numpy(view.viewmat)[None].to(self._backend.device), torch.from_numpy(view.K)[None].to(self._backend.device),
            view.width, view.height, sh_degree=sh_degree, rasterize_mode=self._mode, near_plane=NEAR, eps2d=EPS2D,
        )  # fmt: skip
        return images[0], alphas[0, ..., 0]

    def _surfaces(self, view: MeshView) -> tuple[Tensor, Tensor, Tensor]:
        """Of each splat: its 1/z as a plane over the image, its depth, and its nearest pixel.

        Returns planes (N, 3): 1/z = p0 + p1 (u - cx) + p2 (v - cy); depths (N,); pixels (N, 2) int64, limited to the image.
        """
        viewmat = torch.from_numpy(view.viewmat).to(self._means)
        fx, fy, cx, cy = (float(view.K[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
        R = viewmat[:3, :3]
        x, y, z = (self._means @ R.T + viewmat[:3, 3]).unbind(1)
        z = torch.where(z.abs() < NEAR, NEAR, z)  # not drawn nearer than that
        u, v, inverse = fx * x / z, fy * y / z, 1 / z
        J = torch.zeros(len(z), 3, 3, device=z.device)  # d(u, v, 1/z) / d(x, y, z)
        J[:, 0, 0], J[:, 1, 1] = fx * inverse, fy * inverse
        J[:, :, 2] = torch.stack([-u * inverse, -v * inverse, -inverse * inverse], 1)
        root = J @ R @ self._axes
        cov = root @ root.transpose(1, 2)  # (N, 3, 3) of (u, v, 1/z)
        xx, yy, xy = cov[:, 0, 0] + EPS2D, cov[:, 1, 1] + EPS2D, cov[:, 0, 1]
        det = (xx * yy - xy * xy).clamp_min(1e-12)
        su, sv = cov[:, 2, 0], cov[:, 2, 1]
        slope_u, slope_v = (yy * su - xy * sv) / det, (xx * sv - xy * su) / det
        planes = torch.stack([inverse - slope_u * u - slope_v * v, slope_u, slope_v], 1)
        planes = torch.nan_to_num(planes, 0.0, 0.0, 0.0).contiguous()
        columns = torch.nan_to_num(u + cx).clamp(0, view.width - 1).long()
        rows = torch.nan_to_num(v + cy).clamp(0, view.height - 1).long()
        return planes, z, torch.stack([columns, rows], 1)


def _evaluated(total: Tensor, view: MeshView) -> Tensor:
    """(H, W) sum over the splats of opacity times 1/z, from the blended planes."""
    columns = torch.arange(view.width, device=total.device) + 0.5 - float(view.K[0, 2])
    rows = torch.arange(view.height, device=total.device) + 0.5 - float(view.K[1, 2])
    return total[..., 0] + total[..., 1] * columns[None, :] + total[..., 2] * rows[:, None]


def _rotations(quats: Tensor) -> Tensor:
    """(N, 3, 3) of wxyz quaternions of any length."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=1).unbind(1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ], 1,
    ).reshape(-1, 3, 3)  # fmt: skip


def points_in_camera(depth: NDArray[Any], K: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W, 3) points of a depth map (H, W); the origin where it is 0."""
    height, width = depth.shape
    x = (np.arange(width, dtype=np.float32) + 0.5 - K[0, 2]) / K[0, 0]
    y = (np.arange(height, dtype=np.float32) + 0.5 - K[1, 2]) / K[1, 1]
    return np.stack([depth * x[None, :], depth * y[:, None], depth], -1).astype(np.float32)


def facing(depth: NDArray[np.float32], K: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) cosine between the surface's normal and the ray; 0 where depth, or a neighbour's depth, is missing.

    Of two normals, from the right and lower and from the left and upper neighbours, the one that faces less counts, so that both
    sides of a step are noticed.
    """
    n = REACH_PX
    cosine, whole = np.zeros(depth.shape, np.float32), np.zeros(depth.shape, bool)
    if min(depth.shape) <= 2 * n:
        return cosine
    points = points_in_camera(depth, K)
    inner = points[n:-n, n:-n]
    right, left = points[n:-n, 2 * n :] - inner, inner - points[n:-n, : -2 * n]
    down, up = points[2 * n :, n:-n] - inner, inner - points[: -2 * n, n:-n]
    length = np.linalg.norm(inner, axis=-1)
    least = np.ones(inner.shape[:2], np.float32)
    for across, along in ((right, down), (left, up)):
        normal = np.cross(across, along)
        size = np.maximum(np.linalg.norm(normal, axis=-1) * length, 1e-20)
        least = np.minimum(least, np.abs((normal * inner).sum(-1)) / size)
    cosine[n:-n, n:-n] = least
    known = depth > 0
    whole[n:-n, n:-n] = known[n:-n, 2 * n :] & known[n:-n, : -2 * n] & known[2 * n :, n:-n] & known[: -2 * n, n:-n]
    return np.where(whole & known, cosine, 0).astype(np.float32)
