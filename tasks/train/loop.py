"""The training loop: one view a step, from the SfM points to a scene."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.gaussians.model import COEFFS_OF_DEGREE
from tasks.geometry.silhouettes import Silhouette
from tasks.train.backend import Backend
from tasks.train.dataset import EVALUATION_SIDE_PX, Dataset, View, resized
from tasks.train.densify import densify
from tasks.train.hull import fade_outside
from tasks.train.optimizer import Optimizer, make_leaves
from tasks.train.options import TrainOptions
from tasks.train.parameters import NAMES, Parameters, initial_parameters
from tasks.train.recipe import Recipe
from tasks.train.subject import over_changing_ground, premultiplied_subject

STEP_WINDOW = 100  # steps whose median is the time per step
HISTORY_EVERY = 50  # steps between two entries of the history

Progress = Callable[[int, int, str], None]


@dataclass(kw_only=True)
class TrainState:
    """All that changes during a run; what a checkpoint holds."""

    params: Parameters
    optimizer: Optimizer
    generator: torch.Generator
    step: int = 0  # steps done
    order: list[int] = field(default_factory=list)  # views still to come in this round
    seconds: float = 0.0
    step_seconds: list[float] = field(default_factory=list)  # of the last steps, at full training size
    history: list[dict[str, float]] = field(default_factory=list)
    initial_gaussians: int = 0
    score: Tensor | None = None  # (N,) how much each Gaussian is pulled about since the last densification
    whole: bool = True  # false in the middle of a step

    def state_dict(self) -> dict[str, Any]:
        """Everything, in types that `torch.load(weights_only=True)` takes."""
        return {
            "params": {name: tensor.detach() for name, tensor in self.params.items()},
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "order": self.order,
            "seconds": self.seconds,
            "step_seconds": self.step_seconds,
            "history": self.history,
            "initial_gaussians": self.initial_gaussians,
            "score": self.score,
        }


def fresh_state(dataset: Dataset, options: TrainOptions, backend: Backend, recipe: Recipe) -> TrainState:
    """The state before the first step."""
    params = initial_parameters(
        dataset.points,
        dataset.colors,
        max_gaussians=options.max_gaussians,
        opacity=recipe.initial_opacity,
        seed=options.seed,
    )
    make_leaves(params, backend.device)
    generator = torch.Generator(device=backend.device)
    generator.manual_seed(options.seed)
    return TrainState(
        params=params,
        optimizer=Optimizer(params, backend.adam_step),
        generator=generator,
        initial_gaussians=len(params),
    )


def restored_state(saved: dict[str, Any], backend: Backend) -> TrainState:
    """The state that a checkpoint holds."""
    params = Parameters(**saved["params"])
    make_leaves(params, backend.device)
    optimizer = Optimizer(params, backend.adam_step)
    optimizer.load_state_dict(
        {
            moment: {n: t.to(backend.device) for n, t in tensors.items()}
            for moment, tensors in saved["optimizer"].items()
        }
    )
    generator = torch.Generator(device=backend.device)
    generator.set_state(saved["generator"])
    rest = {k: saved[k] for k in ("step", "order", "seconds", "step_seconds", "history", "initial_gaussians")}
    score = saved["score"]
    return TrainState(
        params=params,
        optimizer=optimizer,
        generator=generator,
        score=None if score is None else score.to(backend.device),
        **rest,
    )


class TrainingViews:
    """The training pictures at the size of the present phase, as 8-bit tensors on the device."""

    def __init__(self, views: list[View], side_px: int, backend: Backend) -> None:
        self._backend = backend
        loaded = [resized(training_picture(view), view.K, side_px) for view in views]
        self._full = [image for image, _ in loaded]
        self._Ks = [K for _, K in loaded]
        self._viewmats = [torch.from_numpy(view.viewmat)[None].to(backend.device) for view in views]
        self._evaluation_widths = [
            view.width * min(1.0, EVALUATION_SIDE_PX / max(view.width, view.height)) for view in views
        ]
        self.masked = bool(views) and views[0].mask_path is not None
        self._emphasis = [emphasis_of(image) for image in self._full]
        self._factor = 0.0
        self._images: list[Tensor] = []
        self._scaled_Ks: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._full)

    def set_factor(self, factor: float) -> None:
        """Scale the pictures to this part of their full training size."""
        if factor == self._factor:
            return
        self._factor = factor
        self._images, self._scaled_Ks = [], []
        for image, K in zip(self._full, self._Ks, strict=True):
            small, small_K = resized(image, K, max(image.shape[:2]) * factor)
            self._images.append(torch.from_numpy(np.ascontiguousarray(small)).to(self._backend.device))
            self._scaled_Ks.append(torch.from_numpy(small_K)[None].to(self._backend.device))

    def part_of_evaluation(self, index: int) -> float:
        """Side of the picture now trained on, relative to the size that it is judged at."""
        return self._images[index].shape[1] / self._evaluation_widths[index]

    def emphasis(self, index: int) -> float:
        """Factor on a view's loss that makes up for the part of its picture where there is nothing to learn."""
        return self._emphasis[index]

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Picture (H, W, 3) as float32 in [0, 1], viewmat (1, 4, 4) and K (1, 3, 3).

        Of a subject alone the picture is (H, W, 4): its colour times alpha, then alpha.
        """
        return self._images[index].float().div_(255), self._viewmats[index], self._scaled_Ks[index]


def emphasis_of(picture: NDArray[np.uint8]) -> float:
    """One for a photo (H, W, 3); for a subject (H, W, 4) the inverse of the part of the picture that it fills, at most 10."""
    if picture.shape[2] == 3:
        return 1.0
    return 1.0 / max(0.1, float((picture[..., 3] > 0).mean()))


def training_picture(view: View) -> NDArray[np.uint8]:
    """What a view teaches: the photo (H, W, 3), or with a mask the subject (H, W, 4), premultiplied colour and alpha.

    Raises BadPosedInput when a picture or mask can't be read.
    """
    if view.mask_path is None:
        return view.image()
    mask = view.mask()
    return np.dstack([premultiplied_subject(view.image(), mask), mask])


def scene_radius(views: list[View]) -> float:
    """Largest distance of a camera from their centre, times 1.1: what the learning rate of the means is relative to (as in 3DGS)."""
    centres = np.stack([-view.viewmat[:3, :3].T @ view.viewmat[:3, 3] for view in views])
    radius = float(np.linalg.norm(centres - centres.mean(0), axis=1).max()) * 1.1
    return radius if radius > 0 else 1.0


def learning_rates(
    recipe: Recipe, params: Parameters, radius: float, step: int, steps: int, device: torch.device
) -> dict[str, Tensor]:
    """Rates per column of each parameter at `step` (counted from 0)."""
    factor = recipe.lr_factor(step, steps)
    coeffs = params.sh_coeffs.shape[1]
    sh = torch.full((coeffs, 3), recipe.lr_sh_rest * factor)
    sh[0] = recipe.lr_sh_first * factor
    rates = {
        "means": torch.full((3,), recipe.mean_lr(step, steps) * radius),
        "quats": torch.full((4,), recipe.lr_quats * factor),
        "scales": torch.full((3,), recipe.lr_scales * factor),
        "opacities": torch.full((1,), recipe.lr_opacities * factor),
        "sh_coeffs": sh.view(-1),
    }
    return {name: rate.to(device) for name, rate in rates.items()}


def fit(
    state: TrainState,
    views: TrainingViews,
    options: TrainOptions,
    recipe: Recipe,
    backend: Backend,
    radius: float,
    *,
    progress: Progress,
    hull: Sequence[Silhouette] = (),
    after_step: Callable[[TrainState], None] | None = None,
) -> None:
    """Train `state` in place up to `options.steps`. `progress` may raise to stop; the state is whole then, and can be saved.

    With `hull`, the grown masks of a subject, Gaussians that leave it are put back.

    `after_step` is called after every step and not counted in the time.
    """
    policy = recipe.densify_policy(options.steps, state.initial_gaussians, options.max_gaussians)
    mode = "antialiased" if options.antialiased else "classic"
    while state.step < options.steps:
        step, params = state.step, state.params
        progress(step, options.steps, f"training, {len(params):,} Gaussians")
        started = time.perf_counter()
        state.whole = False
        factor = recipe.size_factor(step, options.steps)
        views.set_factor(factor)
        degree = recipe.sh_degree(step, options.steps, options.sh_degree)
        state.optimizer.grow_sh(params, COEFFS_OF_DEGREE[degree])
        if not state.order:
            state.order = torch.randperm(len(views), generator=state.generator, device=backend.device).tolist()
        index = state.order.pop()
        truth, viewmat, K = views[index]
        alpha = ground = None
        if views.masked:
            truth, alpha, ground = over_changing_ground(truth, recipe.black_ground, state.generator)
        height, width, _ = truth.shape
        scales, opacities = torch.exp(params.scales), torch.sigmoid(params.opacities)
        images, alphas, meta = backend.rasterization(
            params.means, params.quats, scales, opacities, params.sh_coeffs, viewmat, K, width, height,
            sh_degree=degree, rasterize_mode=mode, eps2d=recipe.dilation(views.part_of_evaluation(index)),
            backgrounds=None if ground is None else ground[None],
        )  # fmt: skip
        loss = backend.l1_ssim_loss(images[0], truth, recipe.ssim_lambda)
        if alpha is not None:
            loss = views.emphasis(index) * (loss + recipe.alpha_weight * (alphas[0] - alpha).abs().mean())
        regularised = loss + recipe.opacity_reg * opacities.mean() + recipe.scale_reg * scales.mean()
        regularised.backward()
        rates = learning_rates(recipe, params, radius, step, options.steps, backend.device)
        state.optimizer.step(params, rates, step=step + 1, visible=backend.visible(meta))
        if recipe.score == "gradient" and step + 1 <= policy.stop:
            pull = backend.pull(meta)
            state.score = pull if state.score is None else state.score + pull
        if policy.due(step + 1):
            if hull:
                fade_outside(params, hull, recipe.hull)
            densify(params, state.optimizer, policy, state.score, state.generator)
            state.score = None
        if step + 1 <= policy.stop:
            rate = policy.noise * recipe.mean_lr(step, options.steps) * radius
            backend.add_noise(params.means, params.quats, params.scales, params.opacities, rate, state.generator)
        state.step += 1
        state.whole = True
        elapsed = time.perf_counter() - started
        state.seconds += elapsed
        if factor == 1.0:
            state.step_seconds = [*state.step_seconds[-STEP_WINDOW + 1 :], elapsed]
        if state.step % HISTORY_EVERY == 0 or state.step == options.steps:
            entry = {"step": state.step, "num_gaussians": len(params), "loss": loss.item(), "seconds": state.seconds}
            state.history.append(entry)
        if after_step:
            after_step(state)
    for name in NAMES:
        setattr(state.params, name, getattr(state.params, name).detach())
    progress(options.steps, options.steps, f"trained, {len(state.params):,} Gaussians")


def median_step_seconds(state: TrainState) -> float | None:
    """Median of the last steps at full training size; None when there was none."""
    return statistics.median(state.step_seconds) if state.step_seconds else None
