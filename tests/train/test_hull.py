"""Votes of masks on points, the visual hull and the volume inside it."""

import math

import numpy as np
import pytest
import torch

from tasks.geometry.silhouettes import Silhouette, votes
from tasks.train.hull import fade_outside, inside_part, remove_outside, volume_inside
from tasks.train.optimizer import Optimizer, adam_step, make_leaves
from tasks.train.parameters import Parameters
from tests.support.splats import look_at

SIDE = 64


def disc_silhouettes(count: int = 12, unit: float = 1.0) -> list[Silhouette]:
    """Cameras at 4 units about a ball of radius 1 at the origin."""
    K = torch.tensor([[60.0, 0, SIDE / 2], [0, 60, SIDE / 2], [0, 0, 1]])
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    radius = 60 / math.sqrt(15)  # of the ball's outline
    inside = torch.from_numpy((x - SIDE / 2) ** 2 + (y - SIDE / 2) ** 2 <= radius**2)
    found = []
    for i in range(count):
        angle = 2 * math.pi * i / count
        eye = 4 * torch.tensor([math.sin(angle), 0.3 * (-1) ** i, math.cos(angle)])
        viewmat = look_at(4 * eye / eye.norm(), torch.zeros(3), torch.tensor([0.0, 1.0, 0.0]))
        viewmat[:3, 3] *= unit
        found.append(Silhouette(viewmat=viewmat, K=K, inside=inside))
    return found


def at(*means: tuple[float, float, float], scale: float = 0.05, opacity: float = 0.9, unit: float = 1.0) -> Parameters:
    count = len(means)
    params = Parameters(
        means=unit * torch.tensor(means).reshape(-1, 3),
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        scales=torch.full((count, 3), math.log(scale * unit)),
        opacities=torch.logit(torch.full((count,), opacity)),
        sh_coeffs=torch.zeros(count, 1, 3),
    )
    make_leaves(params, torch.device("cpu"))
    return params


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_points_are_seen_and_inside_whatever_the_unit(unit: float) -> None:
    points = unit * torch.tensor([[0.0, 0, 0], [0, 0.8, 0], [0, 1.8, 0], [100, 0, 0], [0, 0, 4.5]])
    found = votes(points, disc_silhouettes(unit=unit))
    assert found.part[:3].tolist() == [1, 1, 0]
    assert found.seen[:3].tolist() == [12, 12, 12]
    assert 0 < found.seen[4] < 12  # behind some cameras
    assert votes(torch.zeros(0, 3), disc_silhouettes()).seen.shape == (0,)


def test_only_what_lies_outside_is_faded() -> None:
    params = at((0, 0, 0), (0, 1.8, 0), (0.5, 0.2, 0.1))
    assert fade_outside(params, disc_silhouettes(), 0.5) == 1
    assert (torch.sigmoid(params.opacities.detach()) > 0.5).tolist() == [True, False, True]


def test_extent_counts_beside_the_centre() -> None:
    small, large = at((0, 0, 0)), at((0, 0, 0), scale=3.0)
    assert float(inside_part(small, disc_silhouettes())) == 1
    assert (
        float(inside_part(large, disc_silhouettes())) == 0.75
    )  # both ends of one axis are outside, those of others often unseen
    assert float(inside_part(large, disc_silhouettes(), extent=False)) == 1


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_volume_is_weighed_by_opacity_and_size(unit: float) -> None:
    seen = disc_silhouettes(unit=unit)
    assert volume_inside(at((0, 0, 0), unit=unit), seen) == 1
    assert volume_inside(at((0, 1.8, 0), unit=unit), seen) == 0
    both = at((0, 0, 0), (0, 1.8, 0), unit=unit)
    assert volume_inside(both, seen) == pytest.approx(0.5)
    with torch.no_grad():
        both.scales[1] -= math.log(2)
        both.opacities[1] = torch.logit(torch.tensor(0.45))
    assert volume_inside(both, seen) == pytest.approx(16 / 17, abs=1e-6)
    assert volume_inside(at(), seen) == 0


def test_the_cut_takes_floaters_and_haze_and_then_the_largest_that_sticks_out() -> None:
    params = at((0, 0, 0), (0.3, 0, 0), (0, 1.8, 0), (0, 0.2, 0), (0, 0.98, 0), (0.2, 0.1, 0), (0, 0, 0.1))
    shown = torch.tensor([True, True, True, False, True, True, True])
    with torch.no_grad():
        params.scales[4] += math.log(4)
    optimizer = Optimizer(params, adam_step)
    exact = disc_silhouettes()
    gone = remove_outside(params, optimizer, exact, exact, least_part=0.5, least_volume=0.95, shown=shown)
    assert gone == 3
    assert torch.allclose(params.means.detach(), torch.tensor([[0.0, 0, 0], [0.3, 0, 0], [0.2, 0.1, 0], [0, 0, 0.1]]))
    assert len(optimizer.exp_avg["means"]) == 4
    assert volume_inside(params, exact) == 1


def test_a_cut_may_leave_nothing() -> None:
    params = at((0, 1.8, 0))
    seen = disc_silhouettes()
    shown = torch.ones(1, dtype=torch.bool)
    remove_outside(params, Optimizer(params, adam_step), seen, seen, least_part=0.5, least_volume=0.95, shown=shown)
    assert len(params) == 0


def test_a_scene_that_sticks_out_all_over_is_not_eaten_up() -> None:
    params = at(*[(0, 0.98, 0)] * 10, scale=0.2)
    seen = disc_silhouettes()
    shown = torch.ones(10, dtype=torch.bool)
    remove_outside(params, Optimizer(params, adam_step), seen, seen, least_part=0.0, least_volume=1.0, shown=shown)
    assert len(params) == 8
