"""Edges: where the picture has them, and as soft as it has them."""

import cv2
import numpy as np
import pytest

from tasks.geometry.guided import guided_filter, refine
from tasks.mask.segment import alpha_of


def coarse(alpha: np.ndarray, side: int = 160, blur: float = 1.5) -> np.ndarray:
    """What a network of a small size would say."""
    factor = side / max(alpha.shape)
    small = cv2.resize(alpha.astype(np.float32), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), blur)


def pictured(alpha: np.ndarray, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8: an orange, textured subject before a blue-gray, textured ground."""
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.normal(0, 25, (*alpha.shape, 3)), (0, 0), 2) * 2
    mixed = alpha[..., None] * np.array([200, 120, 40]) + (1 - alpha[..., None]) * np.array([70, 90, 120]) + texture
    return np.clip(mixed, 0, 255).astype(np.uint8)


def disc(height: int = 360, width: int = 480, radius: float = 110.0) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.clip(radius - np.hypot(x - width / 2, y - height / 2) + 0.5, 0.0, 1.0)


def test_a_hard_edge_comes_back_to_its_pixel():
    truth = disc()
    alpha = refine(pictured(truth), coarse(truth))
    assert alpha.shape == truth.shape
    assert alpha.dtype == np.uint8
    error = np.abs(alpha / 255.0 - truth)
    before = np.abs(cv2.resize(coarse(truth), (480, 360)) - truth)
    assert error.mean() < 0.4 * before.mean()
    inside, outside = alpha >= 128, truth >= 0.5
    assert (inside & outside).sum() / (inside | outside).sum() > 0.99


def test_hair_comes_out_finer_than_the_network_sees_it():
    """Thin hairs that stand off an edge: right in the picture, a blur in the coarse mask."""
    truth = disc()
    y, x = np.mgrid[:360, :480]
    angle, radius = np.arctan2(y - 180, x - 240), np.hypot(x - 240, y - 180)
    hairs = (np.cos(90 * angle) > 0.3) & (radius > 105) & (radius < 124)
    truth = cv2.GaussianBlur(np.maximum(truth, hairs.astype(float)), (0, 0), 0.7)
    frame = pictured(truth)
    ring = (radius > 112) & (radius < 122)
    alpha = alpha_of(frame, coarse(truth)) / 255.0
    plain = np.clip(2.0 * (cv2.resize(coarse(truth), (480, 360)) - 0.5) + 0.5, 0.0, 1.0)
    assert np.corrcoef(alpha[ring], truth[ring])[0, 1] > 0.55
    assert np.corrcoef(plain[ring], truth[ring])[0, 1] < 0.1
    assert np.abs(alpha - truth)[ring].mean() < 0.75 * np.abs(plain - truth)[ring].mean()


def test_the_sure_inside_and_outside_stay_so():
    truth = disc()
    alpha = alpha_of(pictured(truth), coarse(truth))
    core = disc(radius=90) > 0.5
    far = disc(radius=130) < 0.5
    assert (alpha[core] >= 250).mean() > 0.995
    assert (alpha[far] <= 5).mean() > 0.995


def test_without_edges_in_the_picture_the_mask_is_only_smoothed():
    mask = coarse(disc())
    flat = np.full((360, 480, 3), 90, np.uint8)
    found = guided_filter(flat, mask, radius=4, epsilon=1e-3, side_px=640)
    expected = cv2.resize(mask, (480, 360))
    for _ in range(2):
        expected = cv2.blur(expected, (9, 9), borderType=cv2.BORDER_REFLECT)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_filter_is_that_of_the_paper():
    """Against the definition, window by window, on a small picture."""
    rng = np.random.default_rng(1)
    guide = rng.integers(0, 255, (14, 17, 3), dtype=np.uint8)
    mask = rng.random((14, 17)).astype(np.float32)
    radius, epsilon = 1, 0.01
    padded = np.pad(guide / 255.0, ((2, 2), (2, 2), (0, 0)), mode="symmetric")
    padded_mask = np.pad(mask, 2, mode="symmetric")
    y, x = 7, 9
    slopes, offsets = [], []
    for i in range(y - 1, y + 2):
        for j in range(x - 1, x + 2):
            colours = padded[i + 1 : i + 4, j + 1 : j + 4].reshape(9, 3)
            values = padded_mask[i + 1 : i + 4, j + 1 : j + 4].ravel()
            centred = colours - colours.mean(0)
            slope = np.linalg.solve(centred.T @ centred / 9 + epsilon * np.eye(3), centred.T @ values / 9)
            slopes.append(slope)
            offsets.append(values.mean() - slope @ colours.mean(0))
    expected = np.mean(slopes, 0) @ (guide[y, x] / 255.0) + np.mean(offsets)
    found = guided_filter(guide, mask, radius=radius, epsilon=epsilon, side_px=640)
    assert found[y, x] == pytest.approx(expected, abs=1e-4)
