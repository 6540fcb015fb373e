"""How a run spends its steps: learning rates, degree of the harmonics, picture size, densification.

Everything is given relative to the number of steps, so that 500 and 25,000 steps are both whole runs.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from tasks.train.densify import DensifyPolicy

SHORT_RUN, LONG_RUN = 3_000, 30_000  # steps
LONG_RUN_RATES = {
    "lr_means": 1.6e-4,
    "lr_means_last": 1.6e-6,
    "lr_quats": 1e-3,
    "lr_scales": 5e-3,
    "lr_opacities": 5e-2,
    "lr_sh_first": 2.5e-3,
    "lr_sh_rest": 2.5e-3 / 20,
}
DILATION = 0.3  # px^2, what viewers add (3DGS)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Constants of a run; the rate of the means is per unit of `scene_radius`. The defaults are those of a short run."""

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
    fixed_dilation: float | None = None
    alpha_weight: float = 0.5  # of the error of alpha where a subject is trained alone
    black_ground: float = (
        0.75  # part of these steps with the subject before black; before a random colour in the others
    )
    hull: float = 0.5  # part of the views that must have a Gaussian within their grown masks; fewer, and it goes
    volume_inside: float = 0.97  # part of the volume that is inside at the end, by the masks of the training views
    least_shown_px: float = 0.5  # what colours less in all training views together (400 px) is haze

    @staticmethod
    def for_steps(steps: int) -> "Recipe":
        """The recipe of a run of so many steps.

        Up to 3,000 steps the rates are those that do best in runs that short (docs/decisions/0006-training-recipe.md); from 30,000
        on they are the published ones of 3DGS-MCMC; in between they go from one to the other with the logarithm of the steps.
        """
        part = min(1.0, max(0.0, math.log(steps / SHORT_RUN) / math.log(LONG_RUN / SHORT_RUN)))
        short = Recipe()
        rates = {name: getattr(short, name) ** (1 - part) * rate**part for name, rate in LONG_RUN_RATES.items()}
        return replace(short, **rates)

    def size_factor(self, step: int, steps: int) -> float:
        """Part of the full training size that `step` (counted from 0) is trained at."""
        return next(factor for start, factor in reversed(self.sizes) if step >= start * steps)

    def dilation(self, part: float) -> float:
        """Variance in px^2 added to every projected Gaussian when training at `part` of the size that is judged and shown.

        There it is 0.3. A picture made smaller by averaging over areas shows each Gaussian through that dilation, which is
        0.3 part^2 in its own pixels, and through the area averaged over, which adds (1 - part^2) / 12. Training with 0.3 at
        a smaller size instead would let the dilation stand for width that the Gaussians then lack at full size.
        """
        if self.fixed_dilation is not None:
            return self.fixed_dilation
        return DILATION * part**2 + (1 - part**2) / 12

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
        every = min(100, max(1, (stop - start) // self.densify_times))
        growing = max(1, int((self.grown_by - self.densify_from) * steps) // every)
        growth = max(1.0, cap / max(1, initial)) ** (1 / growing) if cap > initial else 1.0
        return DensifyPolicy(
            start=max(1, start), stop=stop, every=every, cap=cap, growth=growth * 1.0001, noise=self.noise
        )
