"""Edges of a coarse mask brought to where the picture has them.

The guided filter with a colour guide (He, Sun, Tang: Guided Image Filtering, TPAMI 2013): in every window the mask is the
linear function of colour that fits it best, so that an edge of the picture becomes an edge of the mask, and hair comes out
soft. The coefficients are found at a smaller size and used at the full one (He, Sun: Fast Guided Filter, 2015).
"""

import cv2
import numpy as np

GUIDE_SIDE_PX = 640  # long side at which the coefficients are found
EPSILON = 2e-4  # variance of colour (of 0 to 1) below which there is no edge to follow
LEVELS = 1.5  # contrast of the result around one half: the filter never quite reaches 0 and 1


def guided_filter(guide: np.ndarray, mask: np.ndarray, *, radius: int, epsilon: float, side_px: int) -> np.ndarray:
    """The mask at the guide's size, its edges where the guide's are.

    Args:
        guide: (H, W, 3) uint8.
        mask: (h, w) float32 in [0, 1], of any size.
        radius: of the window, in pixels of the guide when its long side is `side_px`.
        epsilon: regularisation, for colours from 0 to 1.
        side_px: long side at which the coefficients are found.

    Returns:
        (H, W) float32; it may leave [0, 1] a little.
    """
    height, width = guide.shape[:2]
    factor = min(1.0, side_px / max(height, width))
    small_size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(guide, small_size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    coarse = cv2.resize(mask, small_size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    window = (2 * radius + 1, 2 * radius + 1)

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, window, borderType=cv2.BORDER_REFLECT)

    mean_guide, mean_mask = mean(small), mean(coarse)
    r, g, b = (np.ascontiguousarray(small[..., k]) for k in range(3))
    mr, mg, mb = (mean_guide[..., k] for k in range(3))
    # Covariance of the colours in each window, plus epsilon on the diagonal: symmetric 3 x 3
    rr = mean(r * r) - mr * mr + epsilon
    rg = mean(r * g) - mr * mg
    rb = mean(r * b) - mr * mb
    gg = mean(g * g) - mg * mg + epsilon
    gb = mean(g * b) - mg * mb
    bb = mean(b * b) - mb * mb + epsilon
    cross = mean(small * coarse[..., None]) - mean_guide * mean_mask[..., None]  # (h, w, 3)
    cr, cg, cb = (cross[..., k] for k in range(3))
    # Its inverse by cofactors
    irr, irg, irb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    igg, igb, ibb = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    determinant = np.maximum(rr * irr + rg * irg + rb * irb, epsilon**3)
    slope = np.stack(
        [irr * cr + irg * cg + irb * cb, irg * cr + igg * cg + igb * cb, irb * cr + igb * cg + ibb * cb], -1
    )
    slope /= determinant[..., None]
    offset = mean_mask - np.einsum("hwc,hwc->hw", slope, mean_guide)
    size = (width, height)
    slope = cv2.resize(mean(slope), size, interpolation=cv2.INTER_LINEAR)
    offset = cv2.resize(mean(offset), size, interpolation=cv2.INTER_LINEAR)
    slope *= guide
    return cv2.transform(slope, np.full((1, 3), 1.0 / 255.0, np.float32)).reshape(height, width) + offset


def refine(frame: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """Alpha of a frame from the coarse probability of its foreground.

    Args:
        frame: (H, W, 3) uint8.
        foreground: (h, w) float32 in [0, 1].

    Returns:
        (H, W) uint8, 255 = subject.
    """
    height, width = frame.shape[:2]
    # The window spans what the network cannot tell apart: two and a half of its pixels to either side.
    guide_side = min(GUIDE_SIDE_PX, max(height, width))
    radius = max(2, round(2.5 * guide_side / max(foreground.shape)))
    fine = guided_filter(frame, foreground, radius=radius, epsilon=EPSILON, side_px=GUIDE_SIDE_PX)
    fine -= 0.5
    fine *= LEVELS
    fine += 0.5
    return cv2.convertScaleAbs(np.clip(fine, 0.0, 1.0), alpha=255.0)
