"""Lonely points and distances to neighbours, against the plain definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.train.outliers import mean_neighbour_distance, statistical_outliers


def cloud(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3))


def sorted_distances(points: np.ndarray) -> np.ndarray:
    """(N, N) by brute force, ascending; the first column is each point's distance to itself."""
    return np.sort(np.linalg.norm(points[:, None] - points[None], axis=-1), axis=1)


def test_points_far_from_all_others_are_found() -> None:
    points = np.concatenate([cloud(500), [[40.0, 0, 0], [0, -55, 0]]])
    outliers = statistical_outliers(points)
    assert outliers[-2:].all()
    assert outliers[:-2].sum() < 25


@settings(max_examples=25, deadline=None)
@given(count=st.integers(2, 60), neighbours=st.integers(1, 30), ratio=st.floats(0.1, 3), seed=st.integers(0, 1000))
def test_it_is_the_definition(count: int, neighbours: int, ratio: float, seed: int) -> None:
    points = cloud(count, seed)
    own = sorted_distances(points)[:, :neighbours].mean(1)
    limit = own.mean() + ratio * own.std(ddof=1)
    clear = np.abs(own - limit) > 1e-9  # ties go either way by rounding
    np.testing.assert_array_equal(statistical_outliers(points, neighbours, ratio)[clear], (own > limit)[clear])


@settings(max_examples=25, deadline=None)
@given(count=st.integers(2, 60), k=st.integers(1, 8), seed=st.integers(0, 1000))
def test_distance_is_the_root_mean_square_to_the_nearest_others(count: int, k: int, seed: int) -> None:
    points = cloud(count, seed)
    expected = np.sqrt((sorted_distances(points)[:, 1 : k + 1] ** 2).mean(1))
    np.testing.assert_allclose(mean_neighbour_distance(points, k), expected, rtol=1e-9)


def test_moving_turning_and_enlarging_keeps_the_outliers() -> None:
    points = np.concatenate([cloud(300), 10 * cloud(5, seed=1)])
    turn, _ = np.linalg.qr(cloud(3, seed=2))
    np.testing.assert_array_equal(statistical_outliers(7 * points @ turn + 3), statistical_outliers(points))
    np.testing.assert_allclose(
        mean_neighbour_distance(7 * points @ turn + 3), 7 * mean_neighbour_distance(points), rtol=1e-9
    )


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_points_to_judge(count: int) -> None:
    points = cloud(count)
    assert statistical_outliers(points).tolist() == [False] * count
    assert mean_neighbour_distance(points).tolist() == [0.0] * count


def test_points_in_one_place_stay() -> None:
    points = np.zeros((50, 3), np.float32)
    assert not statistical_outliers(points).any()
    assert not mean_neighbour_distance(points).any()


def test_points_that_are_not_points_are_refused() -> None:
    for function in (statistical_outliers, mean_neighbour_distance):
        with pytest.raises(ValueError, match="expected \\(N, 3\\)"):
            function(np.zeros((4, 2)))
        with pytest.raises(ValueError, match="at least one neighbour"):
            function(np.zeros((4, 3)), 0)
