"""A subject judged within its mask and at the mask's edge, beside the figures of the whole picture.

Whether a scene was trained with masks or not, the figures are the same function of the render, the photo and the mask: this is how
the two are compared.
"""

import math
import statistics
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.gaussians.ground import NEUTRAL_GROUND
from tasks.train.metrics import PERFECT_PSNR_DB, rounded_to_8_bits
from tasks.train.subject import INSIDE, layers, on_neutral_ground

BAND_PX = 10


@dataclass(frozen=True, kw_only=True)
class SubjectScore:
    """How well the subject of one held-out view is met; what an empty or a full mask leaves undefined is None."""

    name: str
    psnr_db: float | None  # where alpha >= 0.5, against the untouched photo; see `score_subject`
    band_psnr_db: (
        float | None
    )  # within 10 pixels of the mask's edge: render and subject (its own colour), both on the neutral ground
    alpha_mae: float  # mean difference of the render's alpha and the mask, over the whole picture
    coverage: float  # part of the picture where alpha >= 0.5


@dataclass(frozen=True, kw_only=True)
class SubjectEvaluation:
    """Means over the held-out views that have a value; `volume_inside` is over all views (see `tasks.train.hull`)."""

    psnr_db: float | None
    band_psnr_db: float | None
    alpha_mae: float
    coverage: float
    volume_inside: float
    views: tuple[SubjectScore, ...]
    mask_overlap: dict[str, float] | None = (
        None  # of each view's given mask with the agreed one (IoU), where masks were made to agree
    )


def score_subject(
    name: str,
    image: NDArray[np.floating],  # (H, W, 3) on black
    alpha: NDArray[np.floating],  # (H, W, 1)
    photo: NDArray[np.uint8],  # (H, W, 3)
    mask: NDArray[np.uint8],  # (H, W)
) -> SubjectScore:
    """Judge one render.

    Within the mask it is compared with the photo as it is. A pixel of the photo at a soft edge shows the background through
    the subject, which a subject alone can't: so much of the background as the mask says, and no more than the render lets
    through, is added to the render. Elsewhere it is on black as for the figures of the whole picture: a hole counts in full.
    In the band about the edge the truth is the subject cut out, without a fringe of the old background.
    """
    inside = mask >= INSIDE
    weight = mask.astype(np.float32)[..., None] / np.float32(255)
    shown = rounded_to_8_bits(on_neutral_ground(image, alpha))
    truth = photo.astype(np.float32) / np.float32(255)
    front, back = layers(photo, mask)
    before = rounded_to_8_bits(image + np.minimum(1 - alpha, 1 - weight) * back)
    wanted = front * weight + NEUTRAL_GROUND * (1 - weight)
    return SubjectScore(
        name=name,
        psnr_db=_psnr_db(before, truth, inside),
        band_psnr_db=_psnr_db(shown, wanted, edge_band(inside)),
        alpha_mae=float(np.abs(alpha - weight).mean(dtype=np.float64)),
        coverage=float(inside.mean()),
    )


def summary(
    scores: list[SubjectScore], volume_inside: float, mask_overlap: dict[str, float] | None = None
) -> SubjectEvaluation:
    """Means over the views that have a value; `scores` has one at least."""
    return SubjectEvaluation(
        psnr_db=_mean([s.psnr_db for s in scores]),
        band_psnr_db=_mean([s.band_psnr_db for s in scores]),
        alpha_mae=statistics.fmean(s.alpha_mae for s in scores),
        coverage=statistics.fmean(s.coverage for s in scores),
        volume_inside=volume_inside,
        views=tuple(scores),
        mask_overlap=mask_overlap,
    )


def edge_band(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which pixels (H, W) lie within `BAND_PX` of the edge of a mask: of a pixel of the other kind, the picture's border being none."""
    if inside.all() or not inside.any():
        return np.zeros_like(inside)
    out = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    into = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.maximum(out, into) <= BAND_PX


def _psnr_db(image: NDArray[np.floating], truth: NDArray[np.floating], where: NDArray[np.bool_]) -> float | None:
    if not where.any():
        return None
    error = float(((image[where] - truth[where]) ** 2).mean(dtype=np.float64))
    return min(-10 * math.log10(error), PERFECT_PSNR_DB) if error > 0 else PERFECT_PSNR_DB


def _mean(values: list[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return statistics.fmean(found) if found else None
