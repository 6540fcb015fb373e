"""What the training loop runs on: the native rasteriser on the CPU, gsplat on CUDA, behind one set of functions."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from tasks.errors import DeviceUnavailable
from tasks.train import densify, losses_reference, optimizer


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Functions with one signature each, whatever the device."""

    name: str
    device: torch.device
    rasterization: Callable[..., tuple[Tensor, Tensor, dict[str, Any]]]
    l1_ssim_loss: Callable[[Tensor, Tensor, float], Tensor]
    adam_step: optimizer.AdamStep
    add_noise: Callable[..., None]
    sparse: bool  # whether the optimiser visits only what the view shows
    note: str | None = None  # why a GPU that is there is not used

    def visible(self, meta: dict[str, Any]) -> Tensor | None:
        """Which Gaussians (N,) the one view rendered has shown; None where the optimiser visits all."""
        return meta["visible"][0] if self.sparse else None

    def pull(self, meta: dict[str, Any]) -> Tensor:
        """Length (N,) of the loss's gradient with respect to each projected centre, after the backward pass."""
        return meta["means2d"][0].grad.norm(dim=-1)


def _gsplat(*args: Any, **options: Any) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """gsplat with `means2d` as the native rasteriser gives it: one leaf per view that takes the gradient."""
    from tasks.train.raster import cuda

    images, alphas, meta = cuda.rasterization(*args, **options)
    centres = meta["means2d"]  # (C, N, 2)
    if centres.requires_grad:
        centres.retain_grad()
        meta = {**meta, "means2d": [_Centres(centres, view) for view in range(len(centres))]}
    return images, alphas, meta


class _Centres:
    """The gradient of one view's projected centres, read when the backward pass has been."""

    def __init__(self, centres: Tensor, view: int) -> None:
        self._centres, self._view = centres, view

    @property
    def grad(self) -> Tensor:
        assert self._centres.grad is not None
        return self._centres.grad[self._view]


def choose_backend(device: Literal["auto", "cpu", "cuda"], threads: int | None) -> Backend:
    """The backend for `device`; `auto` takes CUDA where both PyTorch and gsplat have it.

    Raises DeviceUnavailable when CUDA is asked for and not there.
    """
    note = None
    if device == "cuda" or (device == "auto" and torch.cuda.is_available()):
        from tasks.train.raster import cuda

        try:
            cuda.require()
        except DeviceUnavailable as error:
            if device == "cuda":
                raise
            note = str(error)
        else:
            return Backend(
                name="cuda",
                device=torch.device("cuda"),
                rasterization=_gsplat,
                l1_ssim_loss=losses_reference.l1_ssim_loss,
                adam_step=optimizer.adam_step,
                add_noise=densify.add_noise,
                sparse=False,
            )
    from tasks.train.raster import native

    threads = threads or native.default_threads()
    return Backend(
        name=f"cpu ({native.simd_level()}, {threads} threads)",
        device=torch.device("cpu"),
        rasterization=functools.partial(native.rasterization, threads=threads),
        l1_ssim_loss=functools.partial(native.l1_ssim_loss, threads=threads),
        adam_step=functools.partial(native.adam_step, threads=threads),
        add_noise=functools.partial(native.add_noise, threads=threads),
        sparse=True,
        note=note,
    )
