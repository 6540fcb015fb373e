"""How a run spends its steps: learning rates, degree of the harmonics, picture size, densification.

Everything is given relative to the number of steps, so that 500 and 25,000 steps are both whole runs.
"""

import math
from dataclasses import dataclass
from typing import Literal

from tasks.train.densify import DensifyPolicy


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Constants of a run; the learning rates are those of 3DGS, per unit of `scene_radius` for the means."""

    lr_means: float = 1.6e-3
    lr_means_last: float = 1.6e-5
    lr_quats: float = 5e-3
    lr_scales: float = 1e-2
    lr_opacities: float = 0.1
    lr_sh_first: float = 5e-3
    lr_sh_rest: float = 5e-4
    lr_last_factor: float = 1.0  # of all but the means, reached at the last step
    ssim_lambda: float = 0.2
    opacity_reg: float = 0.01
    scale_reg: float = 0.01
    initial_opacity: float = 0.1
    sizes: tuple[tuple[float, float], ...] = (
        (0.0, 0.25),
        (0.1, 0.5),
        (0.4, 1.0),
    )  # from this part of the steps on, this part of the side
    sh_from: tuple[float, ...] = (0.0, 0.15, 0.3, 0.45)  # part of the steps at which each degree begins
    score: Literal["gradient", "opacity"] = "gradient"  # adds Gaussians by pull on their centres, or as in the paper
    densify_from: float = 0.05
    densify_to: float = 0.75
    grown_by: float = 0.5  # part of the steps by which the cap is reached
    densify_times: int = 40
    noise: float = 5e5

    def size_factor(self, step: int, steps: int) -> float:
        """Part of the full training size that `step` (counted from 0) is trained at."""
        return next(factor for start, factor in reversed(self.sizes) if step >= start * steps)

    def sh_degree(self, step: int, steps: int, highest: int) -> int:
        """Degree of the spherical harmonics in use at `step` (counted from 0)."""
        return min(highest, sum(step >= start * steps for start in self.sh_from) - 1)

    def mean_lr(self, step: int, steps: int) -> float:
        """Learning rate of the means at `step` (counted from 0), falling exponentially."""
        part = step / max(1, steps - 1)
        return math.exp((1 - part) * math.log(self.lr_means) + part * math.log(self.lr_means_last))

    def lr_factor(self, step: int, steps: int) -> float:
        """Factor on all other learning rates at `step` (counted from 0), falling exponentially in the second half."""
        part = max(0.0, 2 * step / max(1, steps) - 1)
        return self.lr_last_factor**part

    def densify_policy(self, steps: int, initial: int, cap: int) -> DensifyPolicy:
        """The policy that brings `initial` Gaussians to `cap` by `grown_by` of the steps."""
        start, stop = int(self.densify_from * steps), int(self.densify_to * steps)
        every = max(1, (stop - start) // self.densify_times)
        growing = max(1, int((self.grown_by - self.densify_from) * steps) // every)
        growth = max(1.0, cap / max(1, initial)) ** (1 / growing) if cap > initial else 1.0
        return DensifyPolicy(
            start=max(1, start), stop=stop, every=every, cap=cap, growth=growth * 1.0001, noise=self.noise
        )
