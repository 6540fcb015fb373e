"""Held-out views: rendered at full evaluation size and compared with the pictures that training never saw."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tasks.train.backend import Backend
from tasks.train.dataset import View, evaluation_mask, evaluation_view
from tasks.train.evaluate_subject import SubjectScore, score_subject
from tasks.train.metrics import MIN_SIDE_PX, PERFECT_PSNR_DB, psnr_db, rounded_to_8_bits, ssim
from tasks.train.parameters import Parameters
from tasks.train.render import render_with_alpha
from tasks.train.subject import on_neutral_ground


@dataclass(frozen=True, kw_only=True)
class ViewScore:
    """How well one held-out view is met."""

    name: str
    psnr_db: float
    ssim: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Means over the held-out views; width and height are those of the first."""

    psnr_db: float
    ssim: float
    width: int
    height: int
    views: tuple[ViewScore, ...]
    subjects: tuple[SubjectScore, ...] = ()  # of the views with masks


def evaluate(
    params: Parameters,
    backend: Backend,
    held_out: list[View],
    *,
    antialiased: bool,
    near_plane: float = 0.01,
    renders: Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Evaluation:
    """Judge `params` by the held-out views; with `renders`, each render is left there as `<stem>.png`.

    The figures are of renders on black. Where a view has a mask it is judged within that too, and the render left
    is on the neutral ground.

    Raises BadPosedInput when a picture can't be read.
    """
    scores, sizes, subjects = [], [], []
    for number, view in enumerate(held_out):
        photo, K = evaluation_view(view)
        height, width = photo.shape[:2]
        image, alpha = render_with_alpha(
            params, backend, view.viewmat, K, width, height, antialiased=antialiased, near_plane=near_plane
        )
        truth = photo.astype(np.float32) / np.float32(255)
        similar = ssim(image, truth) if min(width, height) >= MIN_SIDE_PX else float("nan")
        scores.append(ViewScore(name=view.name, psnr_db=min(psnr_db(image, truth), PERFECT_PSNR_DB), ssim=similar))
        sizes.append((width, height))
        shown = image
        if view.mask_path is not None:
            subjects.append(score_subject(view.name, image, alpha, photo, evaluation_mask(view)))
            shown = on_neutral_ground(image, alpha)
        if renders is not None:
            path = (renders / view.name).with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, shown)
        if progress:
            progress(number + 1, len(held_out), f"judging held-out view {number + 1} of {len(held_out)}")
    return Evaluation(
        psnr_db=statistics.fmean(s.psnr_db for s in scores),
        ssim=statistics.fmean(s.ssim for s in scores),
        width=sizes[0][0],
        height=sizes[0][1],
        views=tuple(scores),
        subjects=tuple(subjects),
    )


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image (H, W, 3) in [0, 1] with 8 bits a channel, PNG or JPEG by the path's ending; OSError when it can't be."""
    pixels = (rounded_to_8_bits(image) * 255).round().astype(np.uint8)
    _, data = cv2.imencode(path.suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    path.write_bytes(data.tobytes())  # not cv2.imwrite, which hides why it failed
