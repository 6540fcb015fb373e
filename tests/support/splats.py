"""Small made scenes of Gaussians with known cameras, the same for the same seed on every machine."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

PARAMETERS = ("means", "quats", "scales", "opacities", "colors")


@dataclass(frozen=True, kw_only=True)
class Splats:
    """A scene, its cameras and image size: the arguments of `rasterization`."""

    means: Tensor  # (N, 3)
    quats: Tensor  # (N, 4) wxyz, not normalised
    scales: Tensor  # (N, 3) linear
    opacities: Tensor  # (N,) in [0, 1]
    colors: Tensor  # (N, K, 3) SH coefficients, or (N, D) when sh_degree is None
    viewmats: Tensor  # (C, 4, 4)
    Ks: Tensor  # (C, 3, 3)
    width: int
    height: int
    sh_degree: int | None
    backgrounds: Tensor  # (C, 3)

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `rasterization`."""
        return dict(vars(self))

    def to(self, dtype: torch.dtype | None = None, device: str | None = None) -> "Splats":
        """The same scene in another precision or on another device."""
        moved = {k: v.to(dtype=dtype, device=device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **moved)

    def with_gradients(self) -> "Splats":
        """The same scene with fresh leaf tensors that ask for gradients (parameters and backgrounds)."""
        names = (*PARAMETERS, "backgrounds")
        return replace(self, **{k: getattr(self, k).detach().clone().requires_grad_() for k in names})

    def pick(self, index: Tensor) -> "Splats":
        """The same cameras with only, or in the order of, the Gaussians in `index`."""
        return replace(self, **{k: getattr(self, k)[index] for k in PARAMETERS})


def look_at(eye: Tensor, target: Tensor, down: Tensor) -> Tensor:
    """camera_from_world (4, 4), camera axes x right, y down, z forward, of a camera at `eye` that looks at `target`."""
    forward = torch.nn.functional.normalize(target - eye, dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(down, forward), dim=0)
    R = torch.stack([right, torch.linalg.cross(forward, right), forward])
    viewmat = torch.eye(4, dtype=eye.dtype)
    viewmat[:3, :3], viewmat[:3, 3] = R, -R @ eye
    return viewmat


def cameras_around(
    count: int, width: int, height: int, *, distance: float = 4.0, seed: int = 0, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """viewmats (C, 4, 4) and Ks (C, 3, 3) of cameras about the origin, principal points off centre."""
    g = torch.Generator().manual_seed(seed)
    down = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    viewmats, Ks = [], []
    for _ in range(count):
        direction = torch.randn(3, generator=g, dtype=torch.float64) * torch.tensor(
            [1.0, 0.3, 1.0], dtype=torch.float64
        )
        eye = distance * torch.nn.functional.normalize(direction, dim=0)
        target = 0.2 * torch.randn(3, generator=g, dtype=torch.float64)
        viewmats.append(look_at(eye, target, down))
        focal = (0.9 + 0.3 * float(torch.rand((), generator=g, dtype=torch.float64))) * max(width, height)
        shift = torch.rand(2, generator=g, dtype=torch.float64) * 0.1 + 0.45
        K = [[focal, 0, width * float(shift[0])], [0, focal * 1.02, height * float(shift[1])], [0, 0, 1]]
        Ks.append(torch.tensor(K, dtype=torch.float64))
    return torch.stack(viewmats).to(dtype), torch.stack(Ks).to(dtype)


def random_splats(
    count: int,
    *,
    width: int = 32,
    height: int = 24,
    cameras: int = 1,
    sh_degree: int | None = 0,
    extra_coefficients: bool = False,
    size: float = 0.15,
    spread: float = 0.8,
    opacity: tuple[float, float] = (0.1, 0.95),
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Splats:
    """A cloud of `count` Gaussians about the origin and `cameras` that look at it from a distance of 4.

    Drawn in float64 and rounded, so that both precisions hold the same scene. `size` is the median scale, `spread` the
    cloud's standard deviation, `opacity` the range. With `extra_coefficients` the SH have degree 3 whatever is used.
    """
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    low, high = opacity
    if sh_degree is None:
        colors = torch.rand(count, 3, generator=g, dtype=torch.float64)
    else:
        degree = 3 if extra_coefficients else sh_degree
        colors = 0.3 * normal(count, (degree + 1) ** 2, 3)
        colors[:, 0] = 1.2 * normal(count, 3)
    means, quats = spread * normal(count, 3), normal(count, 4)
    scales = size * torch.exp(0.6 * normal(count, 3))
    opacities = low + (high - low) * torch.rand(count, generator=g, dtype=torch.float64)
    viewmats, Ks = cameras_around(cameras, width, height, seed=seed + 1)
    backgrounds = torch.rand(cameras, 3, generator=g, dtype=torch.float64)
    return Splats(
        # through float32 first: the float64 scene must be the very one that the float32 rasterisers get
        **{
            name: value.float().to(dtype)
            for name, value in {
                "means": means,
                "quats": quats,
                "scales": scales,
                "opacities": opacities,
                "colors": colors,
                "viewmats": viewmats,
                "Ks": Ks,
                "backgrounds": backgrounds,
            }.items()
        },
        width=width,
        height=height,
        sh_degree=sh_degree,
    )
