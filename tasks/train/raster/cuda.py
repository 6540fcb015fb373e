"""The rasteriser on CUDA: gsplat 1.5.3 (Apache-2.0) behind the signature of `tasks.train.raster.reference`.

gsplat compiles its kernels at first use, which takes minutes and needs nvcc; afterwards they are cached.
"""

import functools
import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tasks.errors import DeviceUnavailable
from tasks.train.raster.reference import RasterizeMode, RenderMode


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
    """Render N Gaussians into C cameras; arguments and results are those of the reference, float32 on a CUDA device.

    Raises DeviceUnavailable when there is no CUDA device or no gsplat.
    """
    return require()(
        means,
        quats,
        scales,
        opacities,
        colors,
        viewmats,
        Ks,
        width,
        height,
        near_plane=near_plane,
        far_plane=far_plane,
        eps2d=eps2d,
        sh_degree=sh_degree,
        packed=False,  # 7-10 % faster for scenes of this size
        backgrounds=backgrounds,
        render_mode=render_mode,
        rasterize_mode=rasterize_mode,
    )


@functools.cache
def require() -> Callable[..., Any]:
    """gsplat's `rasterization`, its kernels compiled.

    Raises DeviceUnavailable, with what to do, when it can't run here.
    """
    if not torch.cuda.is_available():
        raise DeviceUnavailable("No CUDA device can be used here; train with --device cpu or auto.")
    try:
        rendering = importlib.import_module("gsplat.rendering")
        backend = importlib.import_module("gsplat.cuda._backend")  # compiles, unless that was done before
    except ModuleNotFoundError as error:
        raise DeviceUnavailable(
            "A CUDA device is here but gsplat is not; run `make setup TORCH=cuda` or train with --device cpu."
        ) from error
    if backend._C is None:
        raise DeviceUnavailable(
            "gsplat can't compile its kernels without a CUDA toolkit (nvcc); install one or train with --device cpu."
        )
    return rendering.rasterization
