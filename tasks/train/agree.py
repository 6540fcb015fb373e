"""Masks that agree with one another: what a network cut out picture by picture, put to the vote in 3D.

A segmentation network decides anew in every picture: here it takes a rose on the wall for the subject, there it loses the subject
altogether. A splat scene of everything, trained small and quickly, knows which pixels of all pictures show the same thing. Every
Gaussian takes the vote of the pixels it colours, views that disagree with the outcome lose weight, and the outcome is rendered
into every view. A mask keeps its own fine edge where it agrees with that, and is replaced where it doesn't.

Source: the votes are those of Shen et al., "FlashSplat: 2D to 3D Gaussian Splatting Segmentation Solved Optimally", ECCV 2024,
here with weights for the views, as in iteratively reweighted least squares.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.train.backend import Backend
from tasks.train.contributions import contributions, render_colors
from tasks.train.dataset import Dataset, View, resized
from tasks.train.loop import TrainingViews, fit, fresh_state, scene_radius
from tasks.train.options import TrainOptions
from tasks.train.parameters import Parameters
from tasks.train.recipe import Recipe
from tasks.train.render import render

Mask = NDArray[np.uint8]  # (H, W), 255 on the subject
Progress = Callable[[int, int, str], None]

SCOUT_STEPS = 800
SCOUT_GAUSSIANS = 30_000
SCOUT_SIDE_PX = 400
ROUNDS = 4
LEAST_ALPHA = 0.05  # where the scene is emptier than that, there is no subject
LEAST_WEIGHT = 0.02  # of a view in the vote
VOTE_CONTRAST = 2.0  # about one half: the vote's edge is as soft as the small scene, its subject need not be
EDGE_PART = 0.004  # of the long side: how far a mask's own edge may be from that of the vote
DISAGREEMENT = (
    0.12,
    0.3,
)  # mean difference about a pixel at which a mask begins to lose, and has lost, against the vote
TRUST_PART = 0.02  # of the long side: about a pixel, where the scene is compared with the picture
TRUST_ERROR = (
    0.01,
    0.03,
)  # mean squared error up to which the scene is believed, and from which on it isn't (20 and 15 dB)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Masks by image name, and what each view's own mask was worth: its overlap (IoU) with the vote, in [0, 1]."""

    masks: dict[str, Mask]
    overlap: dict[str, float]


def agree(dataset: Dataset, options: TrainOptions, backend: Backend, progress: Progress) -> Agreement:
    """Masks of all views that agree. Held-out pictures take no part in the scene, and their masks none in the vote.

    Raises BadPosedInput when a picture or mask can't be read.
    """
    scene = scout(dataset, options, backend, progress)
    own = {view.name: view.mask() for view in dataset.views}
    votes = [contributions(scene, view, own[view.name], SCOUT_SIDE_PX, backend) for view in dataset.training]
    weights = [1.0] * len(votes)
    share = _outcome(votes, weights)
    for _ in range(ROUNDS):
        weights = [
            max(LEAST_WEIGHT, _overlap(own[view.name], _render_share(scene, share, view, backend, SCOUT_SIDE_PX))) ** 2
            for view in dataset.training
        ]
        share = _outcome(votes, weights)
    masks, overlap = {}, {}
    for view in dataset.views:
        voted = _render_share(scene, share, view, backend, None)
        masks[view.name] = reconciled(own[view.name], voted, _trust(scene, view, backend))
        overlap[view.name] = _overlap(own[view.name], voted)
    return Agreement(masks=masks, overlap=overlap)


def scout(dataset: Dataset, options: TrainOptions, backend: Backend, progress: Progress) -> Parameters:
    """A small scene of everything that the training views show, subject and background."""
    whole = [replace(view, mask_path=None) for view in dataset.training]
    small = replace(
        options,
        steps=SCOUT_STEPS,
        max_gaussians=SCOUT_GAUSSIANS,
        train_side_px=min(SCOUT_SIDE_PX, options.train_side_px),
        sh_degree=0,
    )
    recipe = Recipe.for_steps(small.steps)
    state = fresh_state(replace(dataset, training=whole), small, backend, recipe)
    views = TrainingViews(whole, small.train_side_px, backend)
    fit(state, views, small, recipe, backend, scene_radius(dataset.views), progress=progress)
    return state.params


def reconciled(own: Mask, voted: NDArray[np.floating], trust: NDArray[np.floating]) -> Mask:
    """A view's own mask (H, W) where it agrees with the vote (H, W) in [0, 1] on it, the vote where it doesn't.

    Its edge may lie a little off that of the vote, which is less sharp. Where `trust` (H, W) in [0, 1] is 0 the mask stays as it is.
    """
    mask = own.astype(np.float32) / np.float32(255)
    vote = np.clip((voted.astype(np.float32) - 0.5) * VOTE_CONTRAST + 0.5, 0, 1)
    reach = max(1, round(EDGE_PART * max(own.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    near = np.clip(mask, cv2.erode(vote, disc), cv2.dilate(vote, disc))
    window = 4 * reach + 1
    low, high = DISAGREEMENT
    lost = np.clip((cv2.blur(np.abs(mask - vote), (window, window)) - low) / (high - low), 0, 1)
    agreed = near * (1 - lost) + vote * lost
    return np.round((mask + (agreed - mask) * trust) * 255).astype(np.uint8)


def _outcome(votes: Sequence[tuple[Tensor, Tensor]], weights: Sequence[float]) -> Tensor:
    """(N,) 1 for the Gaussians that most votes have inside, else 0."""
    seen = sum((w * total / (total + 1) for w, (total, _) in zip(weights, votes, strict=True)), votes[0][0] * 0)
    inside = sum((w * part / (total + 1) for w, (total, part) in zip(weights, votes, strict=True)), votes[0][0] * 0)
    return (inside > 0.5 * seen).float()


def _render_share(
    scene: Parameters, share: Tensor, view: View, backend: Backend, side_px: int | None
) -> NDArray[np.float32]:
    """The vote as a view sees it, (H, W) in [0, 1]."""
    factor = 1.0 if side_px is None else min(1.0, side_px / max(view.width, view.height))
    width, height = max(1, round(view.width * factor)), max(1, round(view.height * factor))
    K = view.K.copy()
    K[0] *= width / view.width
    K[1] *= height / view.height
    with torch.no_grad():
        colors = torch.stack([share, torch.ones_like(share), share], 1)
        image = render_colors(scene, colors, view, K, width, height, backend)
        # over what is there: before black, dark things are learnt half transparent
        voted = image[..., 0] / image[..., 1].clamp(min=LEAST_ALPHA)
    return np.clip(voted.cpu().numpy(), 0, 1)


def _trust(scene: Parameters, view: View, backend: Backend) -> NDArray[np.float32]:
    """How well the scene shows what is in the picture, (H, W) in [0, 1]: where it doesn't, its vote counts for nothing.

    So it is with a background that does not turn with its subject.
    """
    photo, K = resized(view.image(), view.K, SCOUT_SIDE_PX)
    height, width = photo.shape[:2]
    image = np.clip(render(scene, backend, view.viewmat, K, width, height, antialiased=False), 0, 1)
    error = ((image - photo.astype(np.float32) / 255) ** 2).mean(-1)
    window = 2 * max(1, round(TRUST_PART * max(height, width))) + 1
    low, high = TRUST_ERROR
    trust = np.clip((high - cv2.blur(error, (window, window))) / (high - low), 0, 1).astype(np.float32)
    return cv2.resize(trust, (view.width, view.height), interpolation=cv2.INTER_LINEAR).astype(np.float32, copy=False)


def _overlap(mask: Mask, vote: NDArray[np.floating]) -> float:
    """Intersection over union of a mask and the vote, soft; 1 where both are empty."""
    own = cv2.resize(mask, (vote.shape[1], vote.shape[0]), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    union = float(np.maximum(own, vote).sum())
    return float(np.minimum(own, vote).sum()) / union if union > 0.5 else 1.0
