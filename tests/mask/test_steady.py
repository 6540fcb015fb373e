"""Flicker on made clips whose true masks are known."""

import cv2
import numpy as np
import pytest

from tasks.mask.steady import steady

H, W = 180, 240


def texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    layers = [cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), s) * s for s in (1.5, 4, 10)]
    total = np.sum(layers, axis=0)
    return np.clip(128 + 45 * total / total.std(), 0, 255).astype(np.uint8)


def clip(count: int = 12, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A textured subject and a textured ground that move differently; gray pictures and true masks, uint8."""
    rng = np.random.default_rng(seed)
    ground, skin = texture(rng, H, W + 200), texture(rng, H, W)
    y, x = np.mgrid[:H, :W]
    grays, masks = [], []
    for k in range(count):
        alpha = (np.hypot((x - 90 - 3 * k) / 45.0, (y - 90) / 60.0) < 1).astype(np.uint8)
        moved = np.roll(skin, 3 * k, axis=1)
        grays.append(np.where(alpha > 0, moved, ground[:, 2 * k : 2 * k + W]).astype(np.uint8))
        masks.append(cv2.GaussianBlur(alpha * 255, (0, 0), 1.5))
    return grays, masks


def iou(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a >= 128, b >= 128
    return float((a & b).sum() / max((a | b).sum(), 1))


def quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


@pytest.mark.parametrize(("lost", "least"), [([5], 0.95), ([4, 5, 6], 0.9), ([0], 0.9), ([11], 0.9)])
def test_a_subject_that_flickers_off_is_mended(lost, least):
    grays, truth = clip()
    maps = [np.zeros_like(m) if k in lost else m.copy() for k, m in enumerate(truth)]
    changed = steady(grays, maps, quiet)
    assert min(iou(maps[k], truth[k]) for k in lost) > least
    assert min(iou(maps[k], truth[k]) for k in range(12) if k not in lost) > 0.98
    assert min(changed[k] for k in lost) > 0.9
    assert max(changed[k] for k in range(12) if k not in lost) < 0.02


def test_a_part_that_flickers_off_is_mended():
    grays, truth = clip()
    maps = [m.copy() for m in truth]
    maps[6][:90] = 0
    steady(grays, maps, quiet)
    assert iou(maps[6], truth[6]) > 0.95


def test_a_blob_of_background_that_flickers_on_goes():
    grays, truth = clip()
    maps = [m.copy() for m in truth]
    for k in (5, 6):
        cv2.circle(maps[k], (205, 40), 22, 255, -1)
    steady(grays, maps, quiet)
    assert min(iou(maps[k], truth[k]) for k in (5, 6)) > 0.95


def test_a_subject_that_the_network_wavers_about_gets_its_neighbours_word():
    grays, truth = clip()
    maps = [m.copy() for m in truth]
    maps[6] = (maps[6] * 0.4).astype(np.uint8)
    steady(grays, maps, quiet)
    assert iou(maps[6], truth[6]) > 0.95
    assert maps[6][truth[6] == 255].mean() > 220


def test_a_steady_clip_is_left_alone():
    grays, truth = clip()
    maps = [m.copy() for m in truth]
    changed = steady(grays, maps, quiet)
    assert max(changed) < 0.01
    for mended, before in zip(maps, truth, strict=True):
        assert np.abs(mended.astype(int) - before).mean() < 0.5


def test_a_real_change_that_lasts_is_kept():
    """A thing that is there only in the second half stays there, and only there."""
    grays, _ = clip()
    grays = [grays[0]] * 6 + [grays[0].copy() for _ in range(6)]
    rng = np.random.default_rng(5)
    patch = texture(rng, 50, 50)
    maps = [np.zeros((H, W), np.uint8) for _ in range(12)]
    for k in range(6, 12):
        grays[k][100:150, 150:200] = patch
        maps[k][100:150, 150:200] = 255
    expected = [m.copy() for m in maps]
    steady(grays, maps, quiet)
    assert all(iou(maps[k], expected[k]) > 0.9 for k in range(6, 12))
    assert all((maps[k] >= 128).mean() < 0.005 for k in range(6))


def test_frames_of_another_size_do_not_vote():
    grays, truth = clip(4)
    maps = [m.copy() for m in truth]
    grays[2], maps[2] = cv2.resize(grays[2], (120, 90)), np.zeros((90, 120), np.uint8)
    steady(grays, maps, quiet)
    assert maps[2].max() == 0
    assert iou(maps[1], truth[1]) > 0.98


def test_progress_can_stop_it():
    grays, truth = clip(4)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        steady(grays, truth, stop)
