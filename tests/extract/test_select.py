"""Laws of the choice of frames."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.extract.select import choose, path_coordinate


@st.composite
def clips(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = draw(st.integers(1, 120))
    seed = draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    steps = rng.exponential(draw(st.sampled_from([0.0, 0.01, 0.3])), count) * (rng.random(count) < 0.8)
    times = np.cumsum(rng.uniform(0.001, 0.1, count))
    return np.cumsum(steps), times, rng.uniform(0.05, 1, count)


@settings(deadline=None, max_examples=60)
@given(clips(), st.integers(1, 60))
def test_chooses_ascending_indices_and_never_too_many(clip: tuple, most: int) -> None:
    position, times, sharpness = clip
    kept = choose(position, times, sharpness, most)
    assert len(kept) == min(most, len(position))
    assert np.all(np.diff(kept) > 0)
    assert kept[0] >= 0
    assert kept[-1] < len(position)


@settings(deadline=None, max_examples=30)
@given(clips())
def test_keeps_all_of_a_short_clip(clip: tuple) -> None:
    position, times, sharpness = clip
    assert len(choose(position, times, sharpness, len(position))) == len(position)


@settings(deadline=None, max_examples=30)
@given(clips(), st.integers(2, 40), st.floats(0.1, 10), st.floats(0.1, 10))
def test_units_of_motion_and_sharpness_do_not_matter(clip: tuple, most: int, scale: float, gain: float) -> None:
    position, times, sharpness = clip
    reference = choose(position, times, sharpness, most)
    scaled = choose(position * scale, times * scale, sharpness * gain, most)
    assert np.mean(reference == scaled) > 0.9  # rounding may turn a tie


def test_even_motion_gives_even_steps() -> None:
    count = 400
    kept = choose(np.arange(count) * 0.01, np.arange(count) / 30, np.ones(count), 50)
    gaps = np.diff(kept)
    assert gaps.min() >= 5
    assert gaps.max() <= 9


def test_steps_follow_the_motion_not_the_clock() -> None:
    speed = np.where(np.arange(600) < 300, 0.001, 0.01)  # slow, then fast
    kept = choose(np.cumsum(speed), np.arange(600) / 30, np.ones(600), 60)
    slow, fast = np.sum(kept < 300), np.sum(kept >= 300)
    assert fast > 2.5 * slow
    assert slow > 10


def test_a_standing_camera_gets_few_frames() -> None:
    position = np.concatenate([np.zeros(300), np.arange(300) * 0.01])
    kept = choose(position, np.arange(600) / 30, np.ones(600), 60)
    assert np.sum(kept < 290) < 20


@pytest.mark.parametrize("worse", [0.9, 0.7, 0.3])
def test_the_sharper_neighbour_is_preferred(worse: float) -> None:
    count = 400
    sharpness = np.where(np.arange(count) % 2 == 0, 1.0, worse)
    kept = choose(np.arange(count) * 0.01, np.arange(count) / 30, sharpness, 80)
    assert np.mean(kept % 2 == 0) > 0.95


def test_a_blurred_stretch_tears_no_hole() -> None:
    sharpness = np.ones(400)
    sharpness[150:250] = 0.3
    kept = choose(np.arange(400) * 0.01, np.arange(400) / 30, sharpness, 80)
    assert np.diff(kept).max() <= 20


def test_a_single_frame_is_the_sharpest() -> None:
    assert choose(np.arange(3.0), np.arange(3.0), np.array([0.2, 0.9, 0.4]), 1).tolist() == [1]


def test_path_is_a_share() -> None:
    path = path_coordinate(np.array([2.0, 3.0, 6.0]), np.array([5.0, 5.5, 7.0]))
    assert path[0] == 0
    assert path[-1] == pytest.approx(1)
    assert np.all(np.diff(path) > 0)
    assert path_coordinate(np.zeros(4), np.arange(4.0)).tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
