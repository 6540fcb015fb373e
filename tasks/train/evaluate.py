"""Held-out views: rendered at full evaluation size and compared with the pictures that training never saw."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tasks.train.backend import Backend
from tasks.train.dataset import View, evaluation_view
from tasks.train.metrics import MIN_SIDE_PX, psnr_db, rounded_to_8_bits, ssim
from tasks.train.parameters import Parameters
from tasks.train.render import render

PERFECT_PSNR_DB = 100.0  # reported where a render equals the photo, since JSON has no infinity


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


def evaluate(
    params: Parameters,
    backend: Backend,
    held_out: list[View],
    *,
    antialiased: bool,
    renders: Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Evaluation:
    """Judge `params` by the held-out views; with `renders`, each render is left there as `<stem>.png`.

    Raises BadPosedInput when a picture can't be read.
    """
    scores, sizes = [], []
    for number, view in enumerate(held_out):
        photo, K = evaluation_view(view)
        height, width = photo.shape[:2]
        image = render(params, backend, view.viewmat, K, width, height, antialiased=antialiased)
        truth = photo.astype(np.float32) / np.float32(255)
        similar = ssim(image, truth) if min(width, height) >= MIN_SIDE_PX else float("nan")
        scores.append(ViewScore(name=view.name, psnr_db=min(psnr_db(image, truth), PERFECT_PSNR_DB), ssim=similar))
        sizes.append((width, height))
        if renders is not None:
            path = (renders / view.name).with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, image)
        if progress:
            progress(number + 1, len(held_out), f"judging held-out view {number + 1} of {len(held_out)}")
    return Evaluation(
        psnr_db=statistics.fmean(s.psnr_db for s in scores),
        ssim=statistics.fmean(s.ssim for s in scores),
        width=sizes[0][0],
        height=sizes[0][1],
        views=tuple(scores),
    )


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image (H, W, 3) in [0, 1] with 8 bits a channel, PNG or JPEG by the path's ending; OSError when it can't be."""
    pixels = (rounded_to_8_bits(image) * 255).round().astype(np.uint8)
    _, data = cv2.imencode(path.suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    path.write_bytes(data.tobytes())  # not cv2.imwrite, which hides why it failed
