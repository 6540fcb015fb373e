"""PSNR and SSIM as the judge of the project computes them."""

import math

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from tasks.train.metrics import psnr_db, rounded_to_8_bits, ssim


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (24, 31, 3)).astype(np.float32) / 255
    return truth + rng.normal(0, 0.1, truth.shape).astype(np.float32), truth


def test_psnr_of_a_known_error() -> None:
    truth = np.zeros((12, 12, 3), np.float32)
    assert psnr_db(truth + np.float32(51 / 255), truth) == pytest.approx(20 * math.log10(5), abs=1e-5)


def test_equal_images() -> None:
    truth = np.random.default_rng(1).integers(0, 256, (12, 12, 3)).astype(np.float32) / 255
    assert psnr_db(truth, truth) == math.inf
    assert ssim(truth, truth) == pytest.approx(1)


def test_what_8_bits_cannot_hold_does_not_count() -> None:
    truth = np.random.default_rng(2).integers(0, 256, (12, 12, 3)).astype(np.float32) / 255
    assert psnr_db(truth + np.float32(0.4 / 255), truth) == math.inf
    white = np.ones_like(truth)
    assert psnr_db(white + 3, white) == math.inf, "a viewer clips"


def test_rounding_is_idempotent(pair: tuple[np.ndarray, np.ndarray]) -> None:
    rounded = rounded_to_8_bits(pair[0])
    assert rounded.dtype == np.float32
    np.testing.assert_array_equal(rounded_to_8_bits(rounded), rounded)


def test_as_the_judge_computes_them(pair: tuple[np.ndarray, np.ndarray]) -> None:
    image, truth = pair
    out = np.round(image.clip(0, 1) * 255).astype(np.float32) / 255
    assert psnr_db(image, truth) == pytest.approx(-10 * np.log10(((out - truth) ** 2).mean()), abs=1e-4)
    options = {"channel_axis": -1, "data_range": 1.0, "gaussian_weights": True, "sigma": 1.5}
    expected = structural_similarity(out, truth, use_sample_covariance=False, **options)
    assert ssim(image, truth) == pytest.approx(expected, abs=1e-6)


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected two images"):
        psnr_db(np.zeros((12, 12, 3)), np.zeros((12, 13, 3)))
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(np.zeros((10, 12, 3)), np.zeros((10, 12, 3)))
