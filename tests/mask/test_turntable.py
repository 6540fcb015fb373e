"""Who moves: the subject, the camera, both, or nobody."""

import cv2
import numpy as np

from tasks.mask.turntable import measure_stillness
from tests.mask.test_steady import H, W, texture


def scene(subject_px: float, ground_px: float, *, count: int = 16, noise: float = 3.0, plain: bool = False):
    """Gray pictures and masks: texture that moves so far a frame within the subject's outline, and outside of it."""
    rng = np.random.default_rng(2)
    skin, ground = texture(rng, H, 3 * W), texture(rng, H, 3 * W)
    if plain:
        ground[:] = 128
    y, x = np.mgrid[:H, :W].astype(np.float32)
    alpha = (np.hypot((x - 120) / 50, (y - 90) / 65) < 1).astype(np.uint8) * 255
    grays = []
    for k in range(count):
        inside = cv2.remap(skin, x + np.float32(W + subject_px * k), y, cv2.INTER_CUBIC)
        outside = cv2.remap(ground, x + np.float32(W + ground_px * k), y, cv2.INTER_CUBIC)
        mixed = np.where(alpha > 0, inside, outside) + rng.normal(0, noise, (H, W))
        grays.append(np.clip(mixed, 0, 255).astype(np.uint8))
    return grays, [alpha] * count


def test_a_turntable_is_noticed():
    found = measure_stillness(*scene(4.0, 0.0))
    assert found.stands_still
    assert found.gap == 1


def test_a_slow_turntable_is_noticed_over_a_longer_gap():
    found = measure_stillness(*scene(0.5, 0.0))
    assert found.stands_still
    assert found.gap > 1


def test_a_camera_that_goes_round_is_not():
    for ground in (4.0, -6.0, 1.5, 0.7):
        assert not measure_stillness(*scene(4.0, ground)).stands_still
        assert not measure_stillness(*scene(ground, 4.0)).stands_still


def test_a_camera_that_stands_before_a_still_scene_is_not():
    assert not measure_stillness(*scene(0.0, 0.0)).stands_still


def test_a_plain_ground_says_nothing():
    assert not measure_stillness(*scene(4.0, 0.0, plain=True, noise=0.0)).stands_still


def test_half_a_clip_is_no_clear_evidence():
    still, alphas = scene(4.0, 0.0)
    moving, _ = scene(4.0, 4.0)
    assert not measure_stillness(still[:8] + moving[:8], alphas).stands_still


def test_empty_masks_and_single_frames_say_nothing():
    grays, alphas = scene(4.0, 0.0, count=4)
    assert not measure_stillness(grays, [np.zeros_like(a) for a in alphas]).stands_still
    assert not measure_stillness(grays[:1], alphas[:1]).stands_still
