"""How good a rendered picture is: PSNR and SSIM of what a viewer would see, the picture rounded to 8 bits."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

MIN_SIDE_PX = 11  # the window of the SSIM
PERFECT_PSNR_DB = 100.0  # reported where a render equals the photo, since JSON has no infinity


def rounded_to_8_bits(image: NDArray[np.floating]) -> NDArray[np.float32]:
    """The image as an 8-bit file would hold it: clipped to [0, 1], rounded to 255ths, float32."""
    return np.round(np.clip(image, 0, 1) * 255).astype(np.float32) / np.float32(255)


def psnr_db(image: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """Peak signal-to-noise ratio in decibels of an image (H, W, 3) in [0, 1], rounded to 8 bits, against the truth.

    Infinite where they are equal. Raises ValueError when the shapes differ.
    """
    _check(image, truth)
    error = float(((rounded_to_8_bits(image) - truth.astype(np.float32)) ** 2).mean(dtype=np.float64))
    return -10 * math.log10(error) if error > 0 else math.inf


def ssim(image: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """Structural similarity, at most 1, of an image (H, W, 3) in [0, 1], rounded to 8 bits, against the truth.

    Gaussian window of sigma 1.5, as in the paper (Wang et al., "Image Quality Assessment", 2004). Raises ValueError
    when the shapes differ or a side is shorter than `MIN_SIDE_PX`.
    """
    _check(image, truth)
    if min(image.shape[:2]) < MIN_SIDE_PX:
        raise ValueError(f"SSIM needs at least {MIN_SIDE_PX} pixels a side, not {image.shape[1]}x{image.shape[0]}")
    value: Any = structural_similarity(
        rounded_to_8_bits(image),
        truth.astype(np.float32),
        channel_axis=-1,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(value)


def _check(image: NDArray[np.floating], truth: NDArray[np.floating]) -> None:
    if image.shape != truth.shape or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"expected two images (H, W, 3), got {image.shape} and {truth.shape}")
