"""The subject alone: its masks, its colours without the background's, and the ground it is shown on."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from tasks.errors import NoSubject
from tasks.gaussians.ground import NEUTRAL_GROUND
from tasks.geometry.silhouettes import Silhouette, votes
from tasks.train.dataset import Dataset, View, resized

INSIDE = 128  # of 255: from this alpha on a pixel belongs to the subject
POINT_SIDE_PX = 800  # masks are looked at in this size where points are compared with them
MIN_VIEWS_INSIDE = 0.5  # of the views that see an SfM point
BLUR_PARTS = (0.09, 0.006)  # of the long side: radii of the two passes of the colour estimate


def on_neutral_ground(image: NDArray[np.floating], alpha: NDArray[np.floating]) -> NDArray[np.floating]:
    """A render (H, W, 3) on black with its alpha (H, W, 1), put on the neutral ground."""
    return image + (1 - alpha) * np.float32(NEUTRAL_GROUND)


def premultiplied_subject(photo: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Alpha times the colour of the subject alone, (H, W, 3), from a photo (H, W, 3) and its mask (H, W).

    In a photo the pixels at a soft edge mix the subject with what is behind it. Simply scaled by alpha they would keep
    a fringe of the old background. The subject's own colour is estimated instead.
    """
    front, _ = layers(photo, mask)
    return np.round(front * mask[..., None].astype(np.float32)).astype(np.uint8)


def layers(photo: NDArray[np.uint8], mask: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colours in [0, 1] of the subject and of what is behind it, (H, W, 3) each, that mixed by the mask (H, W) give the photo.

    Where the picture shows none of the background for a while around, that is black.
    Source: Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021 (blur fusion, two passes).
    """
    image = photo.astype(np.float32) / np.float32(255)
    alpha = (mask.astype(np.float32) / np.float32(255))[..., None]
    front = back = image
    for part in BLUR_PARTS:
        radius = max(1, round(part * max(mask.shape)))
        front, back = _blur_fusion(image, front, back, alpha, radius)
    return front, back


def over_changing_ground(
    picture: torch.Tensor,  # (H, W, 4) premultiplied colour and alpha
    black_part: float,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The subject before a uniform colour (H, W, 3), its alpha (H, W, 1) and that colour (3,): mostly black, else random.

    It is black in `black_part` of all cases. A ground that changes can't be learnt; one that changes at every step makes the
    colours restless, which costs more within the subject than it gains at its edge (benchmarks/RESULTS.md).
    """
    drawn = torch.rand(4, generator=generator, device=picture.device)
    color = drawn[:3] * (drawn[3] >= black_part)
    alpha = picture[..., 3:]
    return picture[..., :3] + (1 - alpha) * color, alpha, color


def _blur_fusion(
    image: NDArray[np.float32],
    front: NDArray[np.float32],
    back: NDArray[np.float32],
    alpha: NDArray[np.float32],
    radius: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    def blurred(array: NDArray[np.float32]) -> NDArray[np.float32]:
        result = cv2.blur(array, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)
        return result.reshape(array.shape).astype(np.float32, copy=False)

    weight = blurred(alpha)
    front_mean = blurred(front * alpha) / (weight + 1e-5)
    back_mean = blurred(back * (1 - alpha)) / (1 - weight + 1e-5)
    left = image - alpha * front_mean - (1 - alpha) * back_mean
    return np.clip(front_mean + alpha * left, 0, 1).astype(np.float32, copy=False), back_mean.astype(
        np.float32, copy=False
    )


def silhouettes(
    views: Sequence[View], *, side_px: int, grow_px: int = 0, device: torch.device | None = None
) -> list[Silhouette]:
    """What is inside the masks of `views`, at `side_px` at most, grown by `grow_px` pixels of that size.

    Raises BadPosedInput when a mask can't be read.
    """
    found = []
    for view in views:
        mask, K = resized(view.mask(), view.K, side_px)
        inside = (mask >= INSIDE).astype(np.uint8)
        if grow_px:
            size = 2 * grow_px + 1
            inside = cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
        found.append(
            Silhouette(
                viewmat=torch.from_numpy(view.viewmat).to(device),
                K=torch.from_numpy(K).to(device),
                inside=torch.from_numpy(inside.astype(bool)).to(device),
            )
        )
    return found


def check_masks(dataset: Dataset) -> None:
    """Say what is wrong with the masks before anything is computed.

    Raises BadPosedInput when one can't be read; NoSubject when those of the training views are all empty.
    """
    for view in dataset.held_out:
        view.mask()
    found = [bool((view.mask() >= INSIDE).any()) for view in dataset.training]
    if not any(found):
        raise NoSubject(
            "No subject was found in any picture: the masks are empty. Film something that stands out, or keep the background."
        )


def only_subject(dataset: Dataset) -> Dataset:
    """The dataset without the SfM points that the training views see outside their masks.

    Raises BadPosedInput when a mask can't be read; NoSubject when they hold none of the points.
    """
    seen = silhouettes(dataset.training, side_px=POINT_SIDE_PX)
    found = votes(torch.from_numpy(dataset.points), seen)
    keep = ((found.part >= MIN_VIEWS_INSIDE) & (found.seen > 0)).numpy()
    if not keep.any():
        raise NoSubject(
            "None of the points that the cameras see lies on the subject of the masks: they don't agree on one thing. "
            "Film one thing that stands out, or keep the background."
        )
    return Dataset(
        training=dataset.training,
        held_out=dataset.held_out,
        points=dataset.points[keep],
        colors=dataset.colors[keep],
    )
