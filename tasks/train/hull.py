"""The visual hull of the masks: which Gaussians lie outside it, how much of a scene lies inside.

Source: Laurentini, "The Visual Hull Concept for Silhouette-Based Image Understanding", PAMI 1994; here by votes, since masks made
by a network are wrong in some views.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tasks.geometry.silhouettes import Silhouette, Votes, votes
from tasks.train.optimizer import Optimizer
from tasks.train.parameters import Parameters

DEAD_LOGIT = -12.0  # opacity of what is to be moved at the next densification
VIEWS_INSIDE = 0.9  # of the views that see it: where a piece of volume counts as inside
MOST_TRIMMED = 0.2  # part of the Gaussians that may go for the volume alone
SPREAD = 1.0  # standard deviations from the centre at which a Gaussian's extent is looked at


def inside_part(params: Parameters, silhouettes: Sequence[Silhouette], *, extent: bool = True) -> Tensor:
    """(N,) part of the views that see a Gaussian in which it lies inside: of its centre, or with `extent` the mean over the samples."""
    if not extent:
        return votes(params.means.detach(), silhouettes).part
    found = _sample_votes(params, silhouettes)
    inside, seen = found.inside.view(7, -1).sum(0), found.seen.view(7, -1).sum(0)
    return inside / seen.clamp(min=1)


def fade_outside(params: Parameters, silhouettes: Sequence[Silhouette], least_part: float) -> int:
    """Make the Gaussians whose centres lie inside in less than `least_part` of the views transparent, in place; returns how many.

    The next densification puts them where they are needed.
    """
    outside = inside_part(params, silhouettes, extent=False) < least_part
    with torch.no_grad():
        params.opacities[outside] = DEAD_LOGIT
    return int(outside.sum())


def remove_outside(
    params: Parameters,
    optimizer: Optimizer,
    grown: Sequence[Silhouette],
    exact: Sequence[Silhouette],
    *,
    least_part: float,
    least_volume: float,
    shown: Tensor,  # (N,) bool
) -> int:
    """Take out for good what lies outside; returns how many Gaussians went.

    First what is not `shown` or lies, by centre or extent, inside the `grown` masks of less than `least_part` of the views that
    see it. Then, by the `exact` masks, those that stick out most, until `volume_inside` is at least `least_volume` or a fifth is gone.
    """
    before = len(params)
    part = torch.minimum(inside_part(params, grown), inside_part(params, grown, extent=False))
    keep = (part >= least_part) & shown
    optimizer.keep(params, keep.nonzero()[:, 0])
    if len(params):
        weights, good = _volumes(params, exact)
        outside = weights * (1 - good)
        order = torch.argsort(outside, descending=True, stable=True)
        total, lost = weights.sum(), outside.sum()
        # what is left when the first k are gone
        gone, healed = torch.cumsum(weights[order], 0), torch.cumsum(outside[order], 0)
        enough = torch.cat(
            [(lost <= (1 - least_volume) * total)[None], lost - healed <= (1 - least_volume) * (total - gone)]
        )
        most = int(MOST_TRIMMED * len(params))  # a scene that sticks out all over is no better for being gone
        count = int(enough.int().argmax()) if bool(enough[: most + 1].any()) else most
        optimizer.keep(params, order[count:].sort().values)
    return before - len(params)


def volume_inside(params: Parameters, silhouettes: Sequence[Silhouette]) -> float:
    """Part of the scene's opacity-weighted volume that projects inside the masks of at least 90 % of the views that see it.

    Each Gaussian weighs its opacity times the product of its standard deviations, and is looked at in seven samples of
    equal weight: its centre and one standard deviation along each axis both ways. What no view sees counts as outside.
    0 for an empty scene.
    """
    weights, good = _volumes(params, silhouettes)
    total = float(weights.sum())
    return float((weights * good).sum()) / total if total > 0 else 0.0


def _volumes(params: Parameters, silhouettes: Sequence[Silhouette]) -> tuple[Tensor, Tensor]:
    """(N,) opacity-weighted volume of each Gaussian, and the part of it (N,) that counts as inside."""
    # relative to the largest, so that tiny units don't vanish
    log_volume = params.scales.detach().double().sum(1)
    volume = torch.exp(log_volume - log_volume.max()) if len(params) else log_volume
    found = _sample_votes(params, silhouettes)
    good = ((found.part >= VIEWS_INSIDE) & (found.seen > 0)).view(7, -1).double().mean(0)
    return torch.sigmoid(params.opacities.detach().double()) * volume, good


def _sample_votes(params: Parameters, silhouettes: Sequence[Silhouette]) -> Votes:
    """Votes on 7 N points: all centres, then all ends of the first axis, and so on."""
    means = params.means.detach()
    axes = _axes(params.quats.detach()) * torch.exp(params.scales.detach())[:, None, :] * SPREAD  # (N, 3, 3) in columns
    ends = [means, *(means + sign * axes[:, :, axis] for axis in range(3) for sign in (1, -1))]
    return votes(torch.cat(ends), silhouettes)


def _axes(quats: Tensor) -> Tensor:
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]
    rows += [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]
    rows += [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    return torch.stack(rows, -1).view(-1, 3, 3)
