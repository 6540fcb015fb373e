"""Whether a fast rasteriser draws, and differentiates, what the readable one in float64 says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tasks.train.raster import reference
from tests.support.splats import PARAMETERS, Splats

NAMES = (*PARAMETERS, "backgrounds")
IMAGE_TOLERANCE = 3e-5  # what float32 may cost a pixel; a threshold crossed by rounding costs more
GRADIENT_TOLERANCE = 3e-4  # relative to the gradient's norm over all Gaussians
AS_GOOD_AS = 10  # where float32 can't do better: at most this many times the error of the reference itself in float32


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """What a rasteriser made of a scene, and the gradients of a random linear function of it, on the CPU in float64."""

    image: Tensor  # (C, H, W, D)
    alpha: Tensor  # (C, H, W, 1)
    gradients: dict[str, Tensor]


def render(rasterize: Callable[..., Any], splats: Splats, pixel_weights: Tensor | None = None, **options) -> Rendering:
    """Render, and differentiate sum(weights * (colours, alphas)); `pixel_weights` (C, H, W) can leave pixels out."""
    splats = splats.with_gradients()
    image, alpha, _ = rasterize(**splats.arguments(), **options)
    out = torch.cat([image, alpha], dim=-1)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).float()
    if pixel_weights is not None:
        weights = weights * pixel_weights[..., None]
    leaves = [getattr(splats, n) for n in NAMES]
    grads = torch.autograd.grad((out * weights.to(out)).sum(), leaves, allow_unused=True)
    gradients = {
        n: (torch.zeros_like(leaf) if g is None else g).cpu().double()
        for n, leaf, g in zip(NAMES, leaves, grads, strict=True)
    }
    return Rendering(image=image.detach().cpu().double(), alpha=alpha.detach().cpu().double(), gradients=gradients)


def assert_agrees(
    rasterize: Callable[..., Any],
    splats: Splats,
    *,
    device: str = "cpu",
    image_tolerance: float = IMAGE_TOLERANCE,
    gradient_tolerance: float = GRADIENT_TOLERANCE,
    fragile: float = 1e-3,
    **options,
) -> None:
    """Compare the image, the alphas and every gradient with those of the reference in float64.

    Where a contribution lies at the alpha threshold, a pixel at its last contribution or two Gaussians at one depth,
    rounding decides about all of it: such pixels, at most the share `fragile` of the image and two, or as many more as
    the reference itself gets wrong in float32, are left out of the gradients.
    """
    exact, fast = splats.to(torch.float64), splats.to(device=device)
    expected = render(reference.rasterization, exact, **options)
    actual = render(rasterize, fast, **options)
    assert actual.image.shape == expected.image.shape
    assert actual.alpha.shape == expected.alpha.shape
    assert actual.image.isfinite().all()
    scale = expected.image.abs().amax().clamp_min(1)  # depths are larger than colours

    def error(rendering: Rendering) -> Tensor:  # (C, H, W)
        image, alpha = (rendering.image - expected.image) / scale, rendering.alpha - expected.alpha
        return torch.cat([image, alpha], dim=-1).abs().amax(-1)

    off = error(actual)
    crossed = off > image_tolerance
    allowed = 2 + fragile * crossed.numel()
    left_out = crossed
    if crossed.sum() > allowed:
        excused = error(render(reference.rasterization, splats, **options)) > image_tolerance / AS_GOOD_AS
        assert (crossed & ~excused).sum() <= allowed, f"{int(crossed.sum())} pixels differ, by up to {off.max():.2g}"
        left_out = crossed | excused
    if left_out.any():
        expected = render(reference.rasterization, exact, ~left_out, **options)
        actual = render(rasterize, fast, ~left_out, **options)
    single: Rendering | None = None
    for name in NAMES:
        tolerance = gradient_tolerance
        if relative_error(actual.gradients[name], expected.gradients[name]) > tolerance:
            single = single or render(reference.rasterization, splats, ~left_out, **options)
            best = relative_error(single.gradients[name], expected.gradients[name])
            tolerance = max(tolerance, AS_GOOD_AS * best)
        assert_close(actual.gradients[name], expected.gradients[name], tolerance, name)


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """The norm of the difference over that of what is expected."""
    return float((actual - expected).norm() / expected.norm().clamp_min(1e-30))


def assert_close(actual: Tensor, expected: Tensor, tolerance: float, name: str) -> None:
    """Relative to the norm of what is expected."""
    assert actual.isfinite().all(), f"{name}: not finite"
    error, norm = (actual - expected).norm(), expected.norm()
    off = f"{name}: gradient off by {relative_error(actual, expected):.2g} of its norm {norm:.3g}"
    assert error <= tolerance * norm + 1e-5, off
