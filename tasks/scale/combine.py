"""One scale from all tags: which of them agree, and how sure the result is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tasks.scale.measure import Measurement

Array = NDArray[np.floating]
FLOOR = (
    0.0010  # standard error of a tag that its own residuals don't tell: edges of the print, what is left of the lens
)
WARP_FLOOR = (
    0.0015  # of the model as a whole, the same for all tags; 0.15 % is what structure from motion left in made scenes
)
SAME_SIZE = 0.015  # tags whose sizes differ by less are of one size in any case
SURELY = 3.5  # standard errors beyond which sizes differ
LEAST_TAGS_OF_A_SIZE = 2


@dataclass(frozen=True, kw_only=True)
class Consensus:
    """The tags of one size.

    Attributes:
        groups: indices of the measurements by size, the largest group first.
        chosen: the indices that have a say; none when the sizes contradict one another.
        log_side: logarithm of the tags' side in the model's unit.
        sigma: standard error of it.
        quantile: of Student's distribution, for the 95 % interval.
    """

    groups: list[list[int]]
    chosen: list[int]
    log_side: float
    sigma: float
    quantile: float

    @property
    def half_width(self) -> float:
        """Half the 95 % interval of the logarithm."""
        return self.quantile * self.sigma


def tag_sigma(m: Measurement) -> float:
    """Standard error of the logarithm of one tag's side; a print that's out of shape leaves that much open."""
    assert m.square is not None
    jackknife = float(np.sqrt((m.square.influence**2).sum()))
    return float(np.sqrt(max(jackknife, m.square.formal_sigma) ** 2 + FLOOR**2 + (0.5 * m.shape_error) ** 2))


def combine(measurements: Sequence[Measurement]) -> Consensus:
    """The common side of placed tags (each has a square).

    Tags are of one size when they differ by less than their errors allow, or by less than 1.5 %. One size is believed when it is
    the only one, or when more than half of the tags have it, at least two, and no other size has two.
    """
    sides = np.array([np.log(m.square.side) for m in measurements if m.square is not None])
    assert len(sides) == len(measurements)
    sigmas = np.array([tag_sigma(m) for m in measurements])
    sound = [i for i, m in enumerate(measurements) if not m.shape_error]
    groups = _groups(sides, sigmas)
    first = groups[0]
    alone = len(groups) == 1
    others = max((len(group) for group in groups[1:]), default=0)
    if not alone and (
        len(first) < LEAST_TAGS_OF_A_SIZE or 2 * len(first) <= len(sides) or others >= LEAST_TAGS_OF_A_SIZE
    ):
        return Consensus(groups=groups, chosen=[], log_side=0.0, sigma=np.inf, quantile=1.0)
    chosen = [i for i in first if i in sound] or first
    log_side, sigma, quantile = _mean(measurements, chosen, sides, sigmas)
    return Consensus(groups=groups, chosen=chosen, log_side=log_side, sigma=sigma, quantile=quantile)


def quantile_for(views: int) -> float:
    """Student's 97.5 % quantile for a jackknife over so many views."""
    return float(stats.t.ppf(0.975, max(views - 1, 1)))


def _groups(sides: Array, sigmas: Array) -> list[list[int]]:
    """Indices by size: a tag joins the group whose mean it fits; the largest group first, the surest of equals."""
    groups: list[list[int]] = []
    for i in np.argsort(sigmas):
        for group in groups:
            weights = 1 / sigmas[group] ** 2
            mean = float(np.average(sides[group], weights=weights))
            allowed = max(SAME_SIZE, SURELY * float(np.hypot(sigmas[i], weights.sum() ** -0.5)))
            if abs(sides[i] - mean) <= allowed:
                group.append(int(i))
                break
        else:
            groups.append([int(i)])
    return sorted((sorted(group) for group in groups), key=len, reverse=True)


def _mean(
    measurements: Sequence[Measurement], chosen: list[int], sides: Array, sigmas: Array
) -> tuple[float, float, float]:
    """Weighted mean of the chosen tags, its standard error, and the quantile that makes an interval of it."""
    weights = 1 / sigmas[chosen] ** 2
    weights /= weights.sum()
    mean = float(weights @ sides[chosen])
    # A view's error touches all tags that it shows: add up per view before squaring.
    by_view: dict[int, float] = {}
    formal = 0.0
    own = 0.0
    for weight, i in zip(weights, chosen, strict=True):
        m = measurements[i]
        assert m.square is not None
        for view, pull in zip(m.used.tolist(), m.square.influence, strict=True):
            by_view[view] = by_view.get(view, 0.0) + weight * float(pull)
        formal += (weight * m.square.formal_sigma) ** 2
        own += weight**2 * (FLOOR**2 + (0.5 * m.shape_error) ** 2)
    jackknife = sum(pull**2 for pull in by_view.values())
    variance = max(jackknife, formal) + own
    if len(chosen) > 1:  # tags that differ by more than that are less sure by as much (Birge's ratio)
        spread = float(((sides[chosen] - mean) ** 2 / sigmas[chosen] ** 2).sum() / (len(chosen) - 1))
        variance *= max(1.0, spread)
    return mean, float(np.sqrt(variance + WARP_FLOOR**2)), quantile_for(len(by_view))
