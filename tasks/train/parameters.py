"""The trained parameters and the optimiser's state, always kept in step with each other."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.gaussians.model import COEFFS_OF_DEGREE, Gaussians
from tasks.train.outliers import mean_neighbour_distance, statistical_outliers

SH_C0 = 0.28209479177387814
NAMES = ("means", "quats", "scales", "opacities", "sh_coeffs")


@dataclass(kw_only=True)
class Parameters:
    """N Gaussians under training: log scales, logit opacities, as in the PLY. Leaves of the autograd graph, float32."""

    means: Tensor  # (N, 3)
    quats: Tensor  # (N, 4) wxyz
    scales: Tensor  # (N, 3) log
    opacities: Tensor  # (N,) logit
    sh_coeffs: Tensor  # (N, K, 3); K grows with the degree in use

    def __len__(self) -> int:
        return len(self.means)

    def items(self) -> Iterator[tuple[str, Tensor]]:
        """Name and tensor of each parameter."""
        return ((name, getattr(self, name)) for name in NAMES)

    @property
    def sh_degree(self) -> int:
        """Degree of the spherical harmonics held."""
        return COEFFS_OF_DEGREE.index(self.sh_coeffs.shape[1])

    def to_gaussians(self) -> Gaussians:
        """A NumPy copy, quaternions normalised."""
        arrays = {name: tensor.detach().cpu().numpy().copy() for name, tensor in self.items()}
        arrays["quats"] /= np.linalg.norm(arrays["quats"], axis=1, keepdims=True).clip(1e-12)
        return Gaussians(**arrays)


def initial_parameters(
    points: NDArray[np.float32], colors: NDArray[np.float32], *, max_gaussians: int, opacity: float, seed: int
) -> Parameters:
    """One Gaussian per SfM point (P, 3) with colour (P, 3), as large as the distance to its three neighbours, opaque by `opacity`.

    Points that lie alone are left out; of more than `max_gaussians` a random part is taken.
    Source: Kerbl et al., "3D Gaussian Splatting", 2023, section 5.
    """
    if len(points) >= 100:  # too few to have statistics
        keep = ~statistical_outliers(points)
        points, colors = points[keep], colors[keep]
    if len(points) > max_gaussians:
        chosen = np.sort(np.random.default_rng(seed).choice(len(points), max_gaussians, replace=False))
        points, colors = points[chosen], colors[chosen]
    spacing = mean_neighbour_distance(points)
    positive = spacing[spacing > 0]
    typical = float(np.median(positive)) if len(positive) else 1e-2
    spacing = np.clip(np.where(spacing > 0, spacing, typical), typical * 1e-2, typical * 1e2)
    count = len(points)
    sh = torch.zeros(count, 1, 3)
    sh[:, 0] = (torch.from_numpy(colors) - 0.5) / SH_C0
    quats = torch.zeros(count, 4)
    quats[:, 0] = 1
    return Parameters(
        means=torch.from_numpy(points.copy()),
        quats=quats,
        scales=torch.from_numpy(np.log(spacing).astype(np.float32))[:, None].repeat(1, 3),
        opacities=torch.logit(torch.full((count,), opacity)),
        sh_coeffs=sh,
    )
