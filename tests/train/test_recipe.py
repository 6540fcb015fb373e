"""A recipe holds at every number of steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.train.recipe import Recipe


@given(st.integers(1, 30_000), st.integers(0, 3))
def test_sizes_and_degrees_only_grow_and_end_at_the_full_ones(steps: int, highest: int) -> None:
    recipe = Recipe()
    at = sorted({0, steps // 7, steps // 3, steps // 2, steps - 1})
    sizes = [recipe.size_factor(step, steps) for step in at]
    degrees = [recipe.sh_degree(step, steps, highest) for step in at]
    assert sizes == sorted(sizes)
    assert degrees == sorted(degrees)
    if steps >= 10:
        assert sizes[-1] == 1.0
        assert degrees[-1] == highest


@given(st.integers(100, 30_000), st.integers(3, 200_000), st.integers(100, 1_000_000))
def test_the_cap_is_reached_and_kept(steps: int, initial: int, cap: int) -> None:
    policy = Recipe().densify_policy(steps, initial, cap)
    count = initial
    for step in range(1, steps + 1):
        if policy.due(step):
            count = max(count, min(policy.cap, int(policy.growth * count)))
    assert count <= max(cap, initial)
    if initial * 4 >= cap >= initial >= 1_000 and steps >= 1_000:
        assert count == cap


@given(st.integers(2, 30_000))
def test_the_rate_of_the_means_falls_from_first_to_last(steps: int) -> None:
    recipe = Recipe()
    assert recipe.mean_lr(0, steps) == pytest.approx(recipe.lr_means)
    assert recipe.mean_lr(steps - 1, steps) == pytest.approx(recipe.lr_means_last)
