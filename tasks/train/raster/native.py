"""The CPU rasteriser: our C++ extension behind the signature of `gsplat.rasterization`.

Tiles of 8x8 pixels, AVX-512, AVX2 or portable vectors chosen when the module is loaded. Every gradient is summed in an order that
depends neither on the number of threads nor on timing, so a run repeats bit for bit. Tested against `reference.py`.
"""

import os
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tasks.train.raster import _native

RenderMode = Literal["RGB", "D", "ED", "RGB+D", "RGB+ED"]

_NO_MASK = torch.empty(0, dtype=torch.uint8)


def default_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def simd_level() -> str:
    """Instruction set in use: `avx512`, `avx2` or `portable`."""
    return _native.simd_level()


def _numpy(tensors: list[Tensor]) -> tuple[Any, Any, Any, Any, Any]:
    means, quats, scales, opacities, colors = (tensor.numpy() for tensor in tensors)
    return means, quats, scales, opacities, colors


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means2d, means, quats, scales, opacities, colors, viewmat, K, width, height, background, options):
        near_plane, far_plane, eps2d, sh_degree, antialiased, threads, info = options
        degree = -1 if sh_degree is None else sh_degree
        image = torch.empty(height, width, 3)
        alpha = torch.empty(height, width, 1)
        arrays = [t.detach().contiguous() for t in (means, quats, scales, opacities, colors)]
        frame = _native.forward(
            *_numpy(arrays), degree, viewmat.contiguous().numpy(), K.contiguous().numpy(), width, height,
            near_plane, far_plane, eps2d, antialiased, background.detach().contiguous().numpy(), image.numpy(), alpha.numpy(), threads,
        )  # fmt: skip
        info["frame"] = frame
        ctx.frame, ctx.degree, ctx.threads = frame, degree, threads
        ctx.save_for_backward(*arrays, alpha)
        return image, alpha

    @staticmethod
    @once_differentiable
    def backward(ctx, *grad_outputs):
        v_image, v_alpha = grad_outputs
        *arrays, alpha = ctx.saved_tensors
        grads = [torch.empty_like(a) for a in arrays]
        v_means2d = torch.empty(len(arrays[0]), 2)
        v_image = v_image.contiguous()
        _native.backward(
            ctx.frame, *_numpy(arrays), ctx.degree, v_image.numpy(), v_alpha.contiguous().numpy(),
            *_numpy(grads), v_means2d.numpy(), ctx.threads,
        )  # fmt: skip
        v_background = (v_image * (1.0 - alpha)).sum((0, 1)) if ctx.needs_input_grad[10] else None
        return v_means2d, *grads, None, None, None, None, v_background, None


def rasterization(
    means: Tensor,  # (N, 3)
    quats: Tensor,  # (N, 4)
    scales: Tensor,  # (N, 3)
    opacities: Tensor,  # (N,)
    colors: Tensor,  # (N, K, 3) or (N, 3)
    viewmats: Tensor,  # (C, 4, 4)
    Ks: Tensor,  # (C, 3, 3)
    width: int,
    height: int,
    *,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    backgrounds: Tensor | None = None,  # (C, 3)
    rasterize_mode: Literal["classic", "antialiased"] = "classic",
    render_mode: RenderMode = "RGB",
    threads: int | None = None,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render N Gaussians into C cameras on the CPU.

    Shapes, units and meaning are those of `tasks.train.raster.reference.rasterization`: linear `scales`, `opacities` in [0, 1], `quats`
    wxyz of any length, `colors` as spherical-harmonics coefficients when `sh_degree` is given. float32 only. Differentiable with
    respect to all but the cameras.

    Returns colours (C, H, W, D), alphas (C, H, W, 1) and `meta` with `means2d` (per view a zero (N, 2) tensor that
    takes the gradient of the projected centres, in pixels), `visible` (C, N; uint8) and `frames` (timings and pair counts of each view).

    Raises ValueError when a shape or dtype doesn't fit.
    """
    for name, tensor in {
        "means": means,
        "quats": quats,
        "scales": scales,
        "opacities": opacities,
        "colors": colors,
    }.items():
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise ValueError(f"{name} must be float32 on the CPU, not {tensor.dtype} on {tensor.device}")
    if viewmats.shape[1:] != (4, 4) or Ks.shape != (len(viewmats), 3, 3):
        raise ValueError(
            f"viewmats and Ks have shapes {tuple(viewmats.shape)} and {tuple(Ks.shape)}, expected (C, 4, 4) and (C, 3, 3)"
        )
    if render_mode not in ("RGB", "D", "ED", "RGB+D", "RGB+ED"):
        raise ValueError(f"unknown render_mode {render_mode!r}")
    if rasterize_mode not in ("classic", "antialiased"):
        raise ValueError(f"unknown rasterize_mode {rasterize_mode!r}")
    count = len(means)
    shared = (near_plane, far_plane, eps2d)
    antialiased, threads = rasterize_mode == "antialiased", threads or default_threads()
    images, alphas, metas = [], [], []
    for c in range(len(viewmats)):
        viewmat, K = viewmats[c].detach().float(), Ks[c].detach().float()
        background = torch.zeros(3) if backgrounds is None or render_mode in ("D", "ED") else backgrounds[c].float()
        anchor = torch.zeros(count, 2, requires_grad=means.requires_grad)  # takes the gradient of the projected centres
        info: dict[str, Any] = {"means2d": anchor}
        parts = []
        alpha = torch.empty(0)
        if "RGB" in render_mode:
            options = (*shared, sh_degree, antialiased, threads, info)
            image, alpha = _Rasterize.apply(
                anchor, means, quats, scales, opacities, colors, viewmat, K, width, height, background, options
            )
            parts.append(image)
        if "D" in render_mode:  # depth is a colour like any other
            depths = means @ viewmat[2, :3] + viewmat[2, 3]
            options = (*shared, None, antialiased, threads, info)
            as_color = depths[:, None].expand(count, 3).contiguous()
            depth, alpha = _Rasterize.apply(
                anchor, means, quats, scales, opacities, as_color, viewmat, K, width, height, torch.zeros(3), options
            )
            depth = depth[..., :1]
            parts.append(depth / alpha.clamp_min(1e-10) if "ED" in render_mode else depth)
        images.append(torch.cat(parts, -1) if len(parts) > 1 else parts[0])
        alphas.append(alpha)
        metas.append(info)
    return torch.stack(images), torch.stack(alphas), _meta(metas, count)


def _meta(infos: list[dict[str, Any]], count: int) -> dict[str, Any]:
    visible = torch.empty(len(infos), count, dtype=torch.uint8)
    for row, info in zip(visible, infos, strict=True):
        info["frame"].copy_visible(row.numpy())
    return {"means2d": [i["means2d"] for i in infos], "visible": visible, "frames": [i["frame"] for i in infos]}


class _L1Ssim(torch.autograd.Function):
    @staticmethod
    def forward(ctx, render, truth, ssim_lambda, threads):
        grad = torch.empty_like(render, memory_format=torch.contiguous_format)
        value = _native.loss(
            render.detach().contiguous().numpy(), truth.contiguous().numpy(), ssim_lambda, grad.numpy(), threads
        )
        ctx.save_for_backward(grad)
        return torch.tensor(value, dtype=torch.float32)

    @staticmethod
    @once_differentiable
    def backward(ctx, *grad_outputs):
        (grad,) = ctx.saved_tensors
        return grad * grad_outputs[0], None, None, None


def l1_ssim_loss(render: Tensor, truth: Tensor, ssim_lambda: float, threads: int | None = None) -> Tensor:
    """(1 - ssim_lambda) L1 + ssim_lambda (1 - SSIM) of two (H, W, 3) float32 images in [0, 1], a scalar.

    Value and gradient are those of `tasks.train.losses_reference.l1_ssim_loss`.
    """
    return _L1Ssim.apply(render, truth, ssim_lambda, threads or default_threads())  # type: ignore[return-value]


def adam_step(
    param: Tensor,  # (N, ...)
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    lr: Tensor,  # one per column of param.view(N, -1)
    *,
    step: int,
    visible: Tensor | None = None,  # (N,) uint8; rows that are 0 are left alone
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-15,
    threads: int | None = None,
) -> None:
    """One step of Adam in place; `step` counts from 1."""
    _native.adam_step(
        param.detach().numpy(), grad.contiguous().numpy(), exp_avg.numpy(), exp_avg_sq.numpy(),
        (_NO_MASK if visible is None else visible).numpy(), lr.numpy(), betas[0], betas[1], eps, float(step), threads or default_threads(),
    )  # fmt: skip


def add_noise(
    means: Tensor,  # (N, 3), changed in place
    quats: Tensor,  # (N, 4)
    scales: Tensor,  # (N, 3) log
    opacities: Tensor,  # (N,) logit
    rate: float,
    generator: torch.Generator,
    threads: int | None = None,
) -> None:
    """The noise of `tasks.train.densify.add_noise`, by a generator of its own that `generator` seeds."""
    seed = int(torch.randint(2**62, (1,), generator=generator))
    means_, quats_, scales_, opacities_ = (t.detach().numpy() for t in (means, quats, scales, opacities))
    _native.add_noise(means_, quats_, scales_, opacities_, rate, seed, threads or default_threads())
