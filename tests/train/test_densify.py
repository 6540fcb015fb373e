"""The laws of relocation: what is split looks as before, the cap holds, nothing else moves."""

import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.train import densify as densification
from tasks.train.densify import DensifyPolicy, add_noise, densify, relocated
from tasks.train.optimizer import Optimizer, adam_step, make_leaves
from tasks.train.parameters import NAMES, initial_parameters
from tasks.train.raster import native


def some_parameters(count: int = 50, seed: int = 0):
    rng = np.random.default_rng(seed)
    params = initial_parameters(
        rng.normal(size=(count, 3)).astype(np.float32),
        rng.random((count, 3)).astype(np.float32),
        max_gaussians=10_000,
        opacity=0.5,
        seed=0,
    )
    make_leaves(params, torch.device("cpu"))
    return params, Optimizer(params, adam_step)


def policy(**changes) -> DensifyPolicy:
    return DensifyPolicy(**{"start": 1, "stop": 100, "every": 10, "cap": 1_000, "growth": 1.2, **changes})


@given(st.floats(0.01, 0.99), st.integers(1, 20))
def test_copies_together_are_as_opaque_as_the_original(opacity: float, copies: int) -> None:
    new, _ = relocated(torch.tensor([opacity]), torch.ones(1, 3), torch.tensor([copies]))
    assert 1 - (1 - new.item()) ** copies == pytest.approx(opacity, abs=1e-5)


@given(st.floats(0.05, 0.95), st.integers(1, 8))
def test_copies_cover_the_same_area_along_a_ray(opacity: float, copies: int) -> None:
    """Equation 9: the integral of what a ray across the centre composites stays the same."""
    new, scale = relocated(torch.tensor([opacity]), torch.ones(1, 3), torch.tensor([copies]))
    x = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
    before = opacity * torch.exp(-(x**2) / 2)
    one = new.item() * torch.exp(-(x**2) / (2 * scale[0, 0].item() ** 2))
    after = 1 - (1 - one) ** copies
    assert torch.trapezoid(after, x).item() == pytest.approx(torch.trapezoid(before, x).item(), rel=1e-3)


def test_one_copy_changes_nothing() -> None:
    new, scale = relocated(torch.tensor([0.3]), torch.full((1, 3), 0.7), torch.tensor([1]))
    assert new.item() == pytest.approx(0.3)
    assert scale[0, 0].item() == pytest.approx(0.7)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 49), st.integers(50, 90), st.integers(0, 5))
def test_the_dead_come_back_and_the_cap_holds(dead: int, cap: int, seed: int) -> None:
    params, optimizer = some_parameters(seed=seed)
    with torch.no_grad():
        params.opacities[:dead] = -8.0
    generator = torch.Generator().manual_seed(seed)
    moved, added = densify(params, optimizer, policy(cap=cap, growth=10.0), None, generator)
    assert moved == dead
    assert len(params) == cap == 50 + added
    assert (torch.sigmoid(params.opacities) >= 0.005 - 1e-6).all()
    for name in NAMES:
        tensor = getattr(params, name)
        assert torch.isfinite(tensor).all()
        assert tensor.requires_grad
        assert optimizer.exp_avg[name].shape == optimizer.exp_avg_sq[name].shape == tensor.shape


def test_a_score_decides_where_gaussians_go() -> None:
    params, optimizer = some_parameters()
    score = torch.zeros(50)
    score[7] = 1.0
    place = params.means[7].detach().clone()
    densify(params, optimizer, policy(cap=60, growth=2.0), score, torch.Generator().manual_seed(0))
    assert torch.equal(params.means[50:].detach(), place.expand(10, 3))


def test_all_dead_is_left_alone() -> None:
    params, optimizer = some_parameters()
    with torch.no_grad():
        params.opacities.fill_(-9)
    assert densify(params, optimizer, policy(), None, torch.Generator()) == (0, 0)


def test_due_only_within_its_steps() -> None:
    due = [step for step in range(200) if policy(start=20, stop=60).due(step)]
    assert due == [20, 30, 40, 50, 60]


NOISE = [add_noise, functools.partial(native.add_noise, threads=2)]


@pytest.mark.parametrize("noise", NOISE)
def test_noise_moves_only_the_nearly_transparent(noise) -> None:
    params, _ = some_parameters()
    with torch.no_grad():
        params.opacities[:10] = math.log(0.001 / 0.999)
    before = params.means.detach().clone()
    noise(params.means, params.quats, params.scales, params.opacities, 500.0, torch.Generator().manual_seed(0))
    moved = (params.means.detach() != before).any(1)
    assert moved[:10].all()
    assert not moved[10:].any()


@pytest.mark.parametrize("noise", NOISE)
def test_noise_has_the_spread_of_the_gaussian(noise) -> None:
    """The mean moves by covariance times a standard normal: the spread of the steps is the covariance squared."""
    count = 200_000
    quats = torch.tensor([[0.8, -0.3, 0.5, 0.1]]).repeat(count, 1)
    scales = torch.tensor([[0.3, 0.1, 0.05]]).log().repeat(count, 1)
    means = torch.zeros(count, 3)
    noise(means, quats, scales, torch.full((count,), -20.0), 2.0, torch.Generator().manual_seed(1))
    rotation = densification._rotations(quats[:1])[0]
    covariance = rotation @ torch.diag(torch.tensor([0.3, 0.1, 0.05]) ** 2) @ rotation.T
    expected = (covariance @ covariance) * (2 * torch.sigmoid(torch.tensor(0.5))) ** 2
    assert torch.allclose(means.mean(0), torch.zeros(3), atol=2e-3)
    assert torch.allclose(torch.cov(means.T), expected, atol=0.02 * expected.max().item())


def test_native_noise_does_not_depend_on_threads() -> None:
    moved = []
    for threads in (1, 2, 3):
        params, _ = some_parameters()
        with torch.no_grad():
            params.opacities.fill_(-6.0)
        native.add_noise(
            params.means,
            params.quats,
            params.scales,
            params.opacities,
            500.0,
            torch.Generator().manual_seed(3),
            threads,
        )
        moved.append(params.means.detach().clone())
    assert torch.equal(moved[0], moved[1])
    assert torch.equal(moved[0], moved[2])
