"""The parts of the scale step on numbers alone."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tasks.errors import BadOption
from tasks.scale.combine import combine
from tasks.scale.detect import Sighting
from tasks.scale.fit import UNIT_SQUARE, Square, fit_square
from tasks.scale.measure import Measurement, measure_tag
from tasks.scale.options import ScaleOptions
from tasks.scale.triangulate import Bundle, agreeing, angle_between, gather, refine_points
from tasks.scale.views import TagView
from tests.support.raycast import look_at


def arc(count: int, *, degrees: float = 60.0, unit: float = 1.0) -> list[TagView]:
    """Views along an arc about the origin; their pictures don't exist."""
    views = []
    for i, a in enumerate(np.deg2rad(np.linspace(-degrees / 2, degrees / 2, count))):
        centre = unit * np.array([np.sin(a), -0.4, -np.cos(a)])
        view = TagView(
            name=f"{i:03d}.jpg",
            path=Path(f"{i:03d}.jpg"),
            rotation=look_at(centre, np.zeros(3))[:, :3],
            centre=centre,
            focal=np.array([600.0, 610.0]),
            principal=np.array([322.0, 238.0]),
            width=640,
            height=480,
        )
        views.append(view)
    return views


def corners_of(side: float, at: np.ndarray, *, turn: np.ndarray | None = None) -> np.ndarray:
    rotation = np.eye(3) if turn is None else Rotation.from_rotvec(turn).as_matrix()
    return side * UNIT_SQUARE @ rotation.T + at


def see(views: list[TagView], points: np.ndarray, rng: np.random.Generator, noise: float) -> list[Sighting]:
    return [
        Sighting(tag_id=0, view=i, corners=view.project(points) + rng.normal(0, noise, (4, 2)), sigma_px=0.1)
        for i, view in enumerate(views)
    ]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 100.0))
def test_a_square_without_noise_is_found_exactly_in_any_unit(seed, unit):
    rng = np.random.default_rng(seed)
    views = arc(int(rng.integers(3, 12)), unit=unit)
    points = corners_of(0.1 * unit, unit * rng.normal(0, 0.1, 3), turn=rng.normal(0, 0.4, 3))
    square = fit_square(gather(views, see(views, points, rng, 0.0)))
    assert square is not None
    assert square.side == pytest.approx(0.1 * unit, rel=1e-7)
    assert square.corners == pytest.approx(points, abs=1e-6 * unit)
    assert square.residual_px < 1e-5
    assert square.aspect == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("count", [3, 5, 12])
def test_the_jackknife_knows_how_sure_a_side_is(count):
    """Over many noises, errors are as large as their standard errors say, on the cautious side with few views."""
    rng = np.random.default_rng(0)
    views = arc(count)
    points = corners_of(0.1, np.zeros(3), turn=np.array([0.2, 0.3, 0.1]))
    ratios = []
    for _ in range(200):
        # The pose of each view is off by a pixel for all corners together, the corners by a tenth on their own.
        sightings = [
            Sighting(tag_id=0, view=s.view, corners=s.corners + rng.normal(0, 1, (1, 2)), sigma_px=0.1)
            for s in see(views, points, rng, 0.1)
        ]
        square = fit_square(gather(views, sightings))
        assert square is not None
        sigma = max(np.sqrt((square.influence**2).sum()), square.formal_sigma)
        ratios.append(np.log(square.side / 0.1) / sigma)
    assert 0.4 < np.sqrt(np.mean(np.square(ratios))) < 1.3


def test_views_that_show_a_tag_elsewhere_are_left_out():
    rng = np.random.default_rng(1)
    views = arc(12)
    here = corners_of(0.1, np.zeros(3))
    there = corners_of(0.1, np.array([0.04, 0, 0.02]))
    sightings = see(views[:8], here, rng, 0.2) + [
        Sighting(tag_id=0, view=8 + s.view, corners=s.corners, sigma_px=0.1) for s in see(views[8:], there, rng, 0.2)
    ]
    bundle = gather(views, sightings)
    assert agreeing(bundle, threshold_px=2.0, rng=rng).tolist() == [True] * 8 + [False] * 4
    found = measure_tag(0, views, sightings, ScaleOptions(tag_size_mm=100), limit_px=2.0)
    assert found.square is not None
    assert found.square.side == pytest.approx(0.1, rel=0.01)
    assert found.used.tolist() == list(range(8))
    assert found.elsewhere.tolist() == [8, 9, 10, 11]
    assert found.moved
    assert "moved" in found.reason


def test_views_from_one_place_place_nothing():
    rng = np.random.default_rng(1)
    views = arc(8, degrees=0.5)
    found = measure_tag(
        0, views, see(views, corners_of(0.1, np.zeros(3)), rng, 0.1), ScaleOptions(tag_size_mm=100), limit_px=2
    )
    assert found.square is None
    assert "too close together" in found.reason


def test_two_views_are_too_few():
    rng = np.random.default_rng(1)
    views = arc(2)
    found = measure_tag(
        0, views, see(views, corners_of(0.1, np.zeros(3)), rng, 0.1), ScaleOptions(tag_size_mm=100), limit_px=2
    )
    assert found.square is None
    assert "2 views" in found.reason


@pytest.mark.parametrize("stretch", [0.95, 1.06])
def test_a_print_that_is_not_square_is_named(stretch):
    rng = np.random.default_rng(2)
    views = arc(10)
    points = corners_of(0.1, np.zeros(3)) * [1, stretch, 1]
    found = measure_tag(0, views, see(views, points, rng, 0.1), ScaleOptions(tag_size_mm=100), limit_px=2)
    assert found.shape_error == pytest.approx(abs(np.log(stretch)), abs=0.01)
    assert "out of shape" in found.reason


def test_a_bent_print_is_named():
    rng = np.random.default_rng(2)
    views = arc(10)
    points = corners_of(0.1, np.zeros(3)) + 0.004 * np.array([[0, 0, 1], [0, 0, -1], [0, 0, 1], [0, 0, -1]])
    found = measure_tag(0, views, see(views, points, rng, 0.1), ScaleOptions(tag_size_mm=100), limit_px=2)
    assert found.shape_error == pytest.approx(0.04, abs=0.01)
    assert "bent" in found.reason


def test_free_corners_and_angle():
    rng = np.random.default_rng(3)
    views = arc(5, degrees=60)
    points = corners_of(0.1, np.zeros(3))
    bundle = gather(views, see(views, points, rng, 0.0))
    assert refine_points(bundle) == pytest.approx(points, abs=1e-9)
    assert 45 < np.rad2deg(angle_between(bundle)) <= 60  # the cameras look down a little
    assert isinstance(bundle.only(np.arange(5) < 2), Bundle)


def measured(tag_id: int, side: float, sigma: float = 0.002, views: int = 6, shape_error: float = 0.0) -> Measurement:
    influence = sigma / np.sqrt(views) * np.ones(views)
    square = Square(
        side=side, corners=np.zeros((4, 3)), influence=influence, formal_sigma=sigma / 3, residual_px=0.2, planarity=0.0,
        planarity_99=0.01, aspect=1.0, aspect_99=0.01,
    )  # fmt: skip
    return Measurement(
        tag_id=tag_id, views=views, used=np.arange(views), angle=0.5, square=square, shape_error=shape_error, reason="",
        shape="", elsewhere=np.zeros(0, np.int64), moved=False,
    )  # fmt: skip


def test_tags_that_agree_are_averaged():
    found = combine([measured(0, 0.1000), measured(1, 0.1004), measured(2, 0.0998)])
    assert found.chosen == [0, 1, 2]
    assert np.exp(found.log_side) == pytest.approx(0.1000667, rel=1e-3)
    assert 0.001 < found.half_width < 0.02


def test_one_of_three_that_differs_is_left_out():
    found = combine([measured(0, 0.100), measured(1, 0.125), measured(2, 0.1003)])
    assert found.chosen == [0, 2]
    assert found.groups == [[0, 2], [1]]


@pytest.mark.parametrize(
    "sides",
    [(0.1, 0.125), (0.1, 0.1, 0.125, 0.125), (0.1, 0.1, 0.1, 0.125, 0.125), (0.1, 0.12, 0.14), (0.1, 0.1, 0.12, 0.15)],
)
def test_sizes_without_a_clear_majority_are_not_guessed(sides):
    found = combine([measured(i, side) for i, side in enumerate(sides)])
    assert found.chosen == []
    assert len(found.groups) >= 2


def test_unsure_tags_do_not_contradict():
    found = combine([measured(0, 0.1, sigma=0.001), measured(1, 0.104, sigma=0.03)])
    assert found.chosen == [0, 1]
    assert np.exp(found.log_side) == pytest.approx(0.1, rel=0.002)


def test_a_print_out_of_shape_yields_to_sound_ones():
    found = combine([measured(0, 0.1), measured(1, 0.101, shape_error=0.03), measured(2, 0.1)])
    assert found.chosen == [0, 2]
    alone = combine([measured(1, 0.101, shape_error=0.03)])
    assert alone.chosen == [0]
    assert alone.half_width > 0.03


@pytest.mark.parametrize("size", [0, -1, 0.5, 1001, float("nan"), float("inf"), "95.6", None, True])
def test_bad_sizes_are_refused(size):
    with pytest.raises(BadOption, match=r"^AprilTag size must be between 1mm and 1000mm\.$"):
        ScaleOptions(tag_size_mm=size)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("family", "tag36h10"),
        ("family", None),
        ("min_views", 1),
        ("num_threads", 0),
        ("seed", -1),
        ("min_angle_deg", float("nan")),
    ],
)
def test_bad_options_are_refused(name, value):
    with pytest.raises(BadOption):
        ScaleOptions(tag_size_mm=100, **{name: value})


@pytest.mark.parametrize("size", [1, 95.6, 1000])
def test_good_sizes_are_kept(size):
    assert ScaleOptions(tag_size_mm=size).tag_size_mm == size
