"""Densification as Markov chain Monte Carlo: Gaussians that died are put where others are at work, and the number grows to a cap.

Source: Kheradmand et al., "3D Gaussian Splatting as Markov Chain Monte Carlo", NeurIPS 2024 (relocation: equation 9; noise: equation 7).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.train.optimizer import Optimizer
from tasks.train.parameters import NAMES, Parameters

MAX_COPIES = 51  # of one Gaussian in one relocation; the paper's bound


@dataclass(frozen=True, kw_only=True)
class DensifyPolicy:
    """When and how far; its only state is the accumulated score, which the loop holds."""

    start: int  # first step after which Gaussians are moved or added
    stop: int  # none after this
    every: int
    cap: int
    growth: float  # factor on the number at each time
    min_opacity: float = 0.005
    noise: float = 5e5

    def due(self, step: int) -> bool:
        """Whether Gaussians are moved and added after `step` (counted from 1)."""
        return self.start <= step <= self.stop and step % self.every == 0


def relocated(opacities: Tensor, scales: Tensor, copies: Tensor) -> tuple[Tensor, Tensor]:
    """Opacity (M,) in [0, 1] and linear scales (M, 3) of each of `copies` (M,) equal Gaussians that together look like the one given.

    Equation 9 of the paper. `copies` counts the original and is at least 1.
    """
    copies = copies.clamp(1, MAX_COPIES)
    new_opacities = 1 - torch.pow(1 - opacities, 1 / copies)
    denominator = torch.zeros_like(opacities)
    for n in torch.unique(copies).tolist():
        rows = copies == n
        o = new_opacities[rows].double()
        total = torch.zeros_like(o)
        for i in range(1, int(n) + 1):
            for k in range(i):
                total += math.comb(i - 1, k) * (-1) ** k / math.sqrt(k + 1) * o ** (k + 1)
        denominator[rows] = total.to(denominator.dtype)
    return new_opacities, scales * (opacities / denominator)[:, None]


def sample_and_split(
    params: Parameters,
    optimizer: Optimizer,
    weights: Tensor,
    count: int,
    min_opacity: float,
    generator: torch.Generator,
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Draw `count` Gaussians by `weights` (N,), shrink them as if split, and return their indices and the rows of the copies."""
    chosen = torch.multinomial(weights, count, replacement=True, generator=generator)  # (count,)
    drawn, times = torch.unique(chosen, return_counts=True)
    opacities, scales = relocated(
        torch.sigmoid(params.opacities.detach()[drawn]), torch.exp(params.scales.detach()[drawn]), times + 1
    )
    with torch.no_grad():
        params.opacities[drawn] = torch.logit(opacities.clamp(min_opacity, 1 - 1e-6))
        params.scales[drawn] = torch.log(scales)
    optimizer.forget(drawn)
    return chosen, {name: getattr(params, name).detach()[chosen] for name in NAMES}


def densify(
    params: Parameters, optimizer: Optimizer, policy: DensifyPolicy, score: Tensor | None, generator: torch.Generator
) -> tuple[int, int]:
    """Move the dead, then add new ones up to the cap; returns how many of each.

    `score` (N,) weighs where Gaussians are needed; None: by opacity, as in the paper.
    """
    opacities = torch.sigmoid(params.opacities.detach())
    weights = opacities if score is None else score
    alive = opacities > policy.min_opacity
    weights = torch.where(alive, weights, 0.0) + torch.where(alive, 1e-12, 0.0)
    dead = (~alive).nonzero()[:, 0]
    if not alive.any():
        return 0, 0
    if len(dead):
        _, rows = sample_and_split(params, optimizer, weights, len(dead), policy.min_opacity, generator)
        with torch.no_grad():
            for name in NAMES:
                getattr(params, name)[dead] = rows[name]
        optimizer.forget(dead)
    target = min(policy.cap, int(policy.growth * len(params)))
    added = max(0, target - len(params))
    if added:
        # what was just moved counts at its new place only from the next time on
        weights = torch.where(alive, weights, 0.0)
        _, rows = sample_and_split(params, optimizer, weights, added, policy.min_opacity, generator)
        optimizer.append(params, rows)
    return len(dead), added


def add_noise(
    means: Tensor,  # (N, 3), changed in place
    quats: Tensor,  # (N, 4)
    scales: Tensor,  # (N, 3) log
    opacities: Tensor,  # (N,) logit
    rate: float,
    generator: torch.Generator,
) -> None:
    """Shake the means of nearly transparent Gaussians along their own covariance, so that they find places where they are needed.

    `rate` is the policy's `noise` times the learning rate of the means. The paper's factor sigmoid(100 (0.005 - o)) is below 1e-4 for
    opacities over 0.1: only the others are drawn for. Works on any device; `raster.native.add_noise` is the same on the CPU, faster.
    """
    with torch.no_grad():
        loose = (opacities < math.log(0.1 / 0.9)).nonzero()[:, 0]
        if not len(loose):
            return
        size = torch.sigmoid(-100 * (torch.sigmoid(opacities[loose]) - 0.005)) * rate
        normal = torch.randn(len(loose), 3, generator=generator, device=means.device)
        # covariance times noise: R diag(s^2) R^T n
        rotations = _rotations(quats[loose])  # (M, 3, 3)
        along_axes = (rotations * (normal * size[:, None])[:, :, None]).sum(1) * torch.exp(2 * scales[loose])
        means[loose] += (rotations * along_axes[:, None, :]).sum(2)


def _rotations(quats: Tensor) -> Tensor:
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]
    rows += [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]
    rows += [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    return torch.stack(rows, -1).view(-1, 3, 3)
