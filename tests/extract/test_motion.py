"""Motion along a clip and how sharp its frames are."""

import cv2
import numpy as np
import pytest

from tasks.extract.motion import MotionTracker
from tasks.extract.sharpness import blur_score
from tests.extract.clips import motion_blurred, pan, wall


def _grey(view: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY))


def _positions(views: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    tracker = MotionTracker()
    steps = [tracker.advance(_grey(view)) for view in views]
    return np.array([step.position for step in steps]), np.array([step.new for step in steps])


@pytest.mark.parametrize("step_px", [0.5, 2.0, 8.0])
def test_measures_a_pan_in_shares_of_the_long_side(step_px: float) -> None:
    position, new = _positions(pan(30, step_px=step_px))
    assert position[-1] == pytest.approx(29 * step_px / 320, rel=0.05)
    assert new.all()


def test_a_shaking_hand_does_not_add_up() -> None:
    rng = np.random.default_rng(1)
    image = wall(240, 400)
    views = [image[20 + dy : 200 + dy, 20 + dx : 340 + dx] for dx, dy in rng.integers(-2, 3, (60, 2))]
    position, _ = _positions(views)
    assert position[-1] < 0.05  # frame to frame it adds up to more than 0.5


def test_repeated_frames_are_found() -> None:
    views = [view for view in pan(10, step_px=3.0) for _ in range(3)]
    position, new = _positions(views)
    assert new.tolist() == [True, False, False] * 10
    assert np.all(np.diff(position) >= 0)


def test_a_cut_is_a_large_step() -> None:
    position, new = _positions([*pan(5), wall(180, 320, seed=9), *pan(2)])
    assert position[5] - position[4] > 0.05
    assert new[5]


def test_nothing_to_track_is_no_error() -> None:
    flat = [np.full((180, 320, 3), value, np.uint8) for value in (10, 10, 200)]
    position, new = _positions(flat)
    assert new.tolist() == [True, False, True]
    assert position[2] > position[1]


def test_blur_rises_with_smear_and_ignores_contrast() -> None:
    image = _grey(wall(360, 640))
    scores = [blur_score(motion_blurred(image, length)) for length in (1, 3, 7, 15)]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0] + 0.2
    dull = (image * 0.6 + 60).astype(np.uint8)
    assert blur_score(dull) == pytest.approx(scores[0], abs=0.08)
    assert blur_score(image.T.copy()) == pytest.approx(blur_score(image), abs=1e-6)


def test_a_flat_picture_is_all_blur() -> None:
    assert blur_score(np.full((90, 160), 128, np.uint8)) == 1.0
