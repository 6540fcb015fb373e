"""Points against masks: which views see a point, and in which of them it lies on the subject."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Silhouette:
    """One view's mask and camera, on one device."""

    viewmat: Tensor  # (4, 4) cam_from_world, float32
    K: Tensor  # (3, 3) pixels of the mask, float32
    inside: Tensor  # (H, W) bool


@dataclass(frozen=True, kw_only=True)
class Votes:
    """How many views see each of N points, and in how many of these it lies inside the mask."""

    seen: Tensor  # (N,) int32
    inside: Tensor  # (N,) int32

    @property
    def part(self) -> Tensor:
        """(N,) part of the views that see a point in which it lies inside; 0 where none sees it."""
        return self.inside / self.seen.clamp(min=1)


def votes(points: Tensor, silhouettes: Sequence[Silhouette]) -> Votes:
    """Votes on the points (N, 3). A view sees a point that lies in front of it and in its picture, whatever else is in between.

    Nothing here depends on the unit of the scene.
    """
    seen = torch.zeros(len(points), dtype=torch.int32, device=points.device)
    inside = torch.zeros_like(seen)
    for silhouette in silhouettes:
        index, ahead = pixels_of(points, silhouette)
        seen += ahead
        inside += silhouette.inside.reshape(-1)[index] & ahead
    return Votes(seen=seen, inside=inside)


def pixels_of(points: Tensor, silhouette: Silhouette) -> tuple[Tensor, Tensor]:
    """Index (N,) into the flattened mask of the pixel that each of the points (N, 3) falls on, and whether (N,) it falls on one."""
    height, width = silhouette.inside.shape
    x, y, z = (points @ silhouette.viewmat[:3, :3].T + silhouette.viewmat[:3, 3]).unbind(1)
    ahead = z > 0
    z = torch.where(ahead, z, torch.ones_like(z))
    u = silhouette.K[0, 0] * x / z + silhouette.K[0, 2]
    v = silhouette.K[1, 1] * y / z + silhouette.K[1, 2]
    ahead = ahead & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    column, row = torch.where(ahead, u, 0).long(), torch.where(ahead, v, 0).long()
    return row * width + column, ahead
