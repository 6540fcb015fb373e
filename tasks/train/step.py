"""The train step: a posed folder in, a judged scene out."""

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tasks.gaussians.model import COEFFS_OF_DEGREE
from tasks.gaussians.ply import write_ply
from tasks.train.backend import Backend, choose_backend
from tasks.train.checkpoint import load_checkpoint, save_checkpoint
from tasks.train.dataset import EVALUATION_SIDE_PX, Dataset, load_dataset
from tasks.train.evaluate import Evaluation, evaluate, write_image
from tasks.train.evaluate_subject import SubjectEvaluation
from tasks.train.loop import (
    TrainingViews,
    TrainState,
    fit,
    fresh_state,
    median_step_seconds,
    restored_state,
    scene_radius,
)
from tasks.train.options import TrainOptions
from tasks.train.preview import LIVE_PREVIEW_SIDE_PX, render_small, write_final_preview
from tasks.train.recipe import Recipe
from tasks.train.subject_run import SubjectRun, prepare_subject

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class TrainRecord:
    """What a training run came to. Metrics are means over the held-out views at full evaluation size."""

    steps: int
    num_gaussians: int
    device: str
    seconds: float  # the optimisation loop alone
    seconds_per_step: float  # median of the last steps at full training size
    psnr_db: float
    ssim: float
    width: int
    height: int
    held_out: tuple[str, ...]
    warnings: tuple[str, ...]


def train(posed: Path, out: Path, options: TrainOptions, progress: Progress) -> TrainRecord:
    """Train a scene from `posed/images` and `posed/colmap` into the folder `out`.

    Writes `scene.ply`, `renders/` (every held-out view), `preview.png`, `camera.json`, `train.json`, `previews/` and, while it runs,
    `checkpoint.pt`: when `out` holds one of the same input and options, the run goes on from it. On the CPU a seed repeats a run
    bit for bit, also across such a break. `progress` may raise to stop; a checkpoint is written first.

    With `posed/masks` (8-bit alpha, 255 on the subject, `<image stem>.png`, the size of the image) the subject alone is
    trained; then `masks/` holds the masks in force, which agree with one another (see `tasks.train.agree`), pictures are on a
    neutral ground, and train.json has `evaluation.masked` (see `tasks.train.evaluate_subject`).

    Raises BadPosedInput, NoSubject, DeviceUnavailable.
    """
    out.mkdir(parents=True, exist_ok=True)
    backend = choose_backend(options.device, options.threads)
    dataset = load_dataset(posed)
    recipe = Recipe.for_steps(options.steps)
    key = run_key(dataset, options, recipe, backend)
    subject = prepare_subject(dataset, out, key, options, backend, progress) if dataset.masked else None
    dataset = subject.dataset if subject else dataset
    saved = load_checkpoint(out, key)
    state = restored_state(saved, backend) if saved else fresh_state(dataset, options, backend, recipe)
    progress(state.step, options.steps, "loading pictures")
    warnings = input_warnings(dataset)
    if backend.note:
        warnings.append(f"Trained on the CPU although a GPU is there. {backend.note}")
    views = TrainingViews(dataset.training, options.train_side_px, backend)
    with single_threaded_torch(backend):
        run(state, views, dataset, out, key, options, recipe, backend, progress, subject)
        (out / "renders").mkdir(exist_ok=True)
        evaluation = evaluate(
            state.params,
            backend,
            dataset.held_out,
            antialiased=options.antialiased,
            renders=out / "renders",
            progress=lambda done, total, message: progress(options.steps, options.steps, message),
        )
        camera = write_final_preview(state.params, dataset, out, backend, antialiased=options.antialiased)
        masked = subject.judged(state.params, evaluation.subjects) if subject else None
    gaussians = state.params.to_gaussians()
    write_ply(out / "scene.ply", gaussians)
    (out / "camera.json").write_text(json.dumps(camera, indent=2, allow_nan=False))
    record = TrainRecord(
        steps=options.steps,
        num_gaussians=len(gaussians),
        device=backend.name,
        seconds=state.seconds,
        seconds_per_step=median_step_seconds(state) or state.seconds / options.steps,
        psnr_db=evaluation.psnr_db,
        ssim=evaluation.ssim,
        width=evaluation.width,
        height=evaluation.height,
        held_out=tuple(view.name for view in dataset.held_out),
        warnings=tuple(warnings),
    )
    data = as_json(record, evaluation, masked, state, options)
    (out / "train.json").write_text(json.dumps(data, indent=2, allow_nan=False))
    if subject:
        subject.finish()
    (out / "checkpoint.pt").unlink(missing_ok=True)
    return record


def run(
    state: TrainState,
    views: TrainingViews,
    dataset: Dataset,
    out: Path,
    key: str,
    options: TrainOptions,
    recipe: Recipe,
    backend: Backend,
    progress: Progress,
    subject: SubjectRun | None = None,
) -> None:
    """Run the loop with checkpoints and live previews; whatever stops it, what was reached is saved."""
    last_saved, pause = time.monotonic(), options.checkpoint_every_seconds
    previews = out / "previews"
    previews.mkdir(exist_ok=True)
    live = dataset.views[len(dataset.views) // 2]

    def after_step(state: TrainState) -> None:
        nonlocal last_saved, pause
        if state.step % options.preview_every_steps == 0 and state.step < options.steps:
            image = render_small(
                state.params, live, live.viewmat, LIVE_PREVIEW_SIDE_PX, backend, antialiased=options.antialiased
            )
            write_image(previews / f"step_{state.step:06d}.jpg", image)
        if (begun := time.monotonic()) - last_saved > pause:
            save_checkpoint(out, key, state.state_dict())
            last_saved = time.monotonic()
            # A large scene's takes seconds: a twentieth of the time at most, while that costs a minute at most.
            pause = max(options.checkpoint_every_seconds, min(20 * (last_saved - begun), 60.0))

    try:
        fit(
            state,
            views,
            options,
            recipe,
            backend,
            scene_radius(dataset.views),
            progress=progress,
            hull=subject.grown if subject else (),
            after_step=after_step,
        )
    except BaseException:
        if state.step > 0 and state.whole:
            save_checkpoint(out, key, state.state_dict())
        raise
    if subject:
        subject.cut(state, recipe, backend)


def run_key(dataset: Dataset, options: TrainOptions, recipe: Recipe, backend: Backend) -> str:
    """Digest of all that decides a run's result: a checkpoint with another key belongs to another run."""
    digest = hashlib.sha256()
    told = {
        k: v
        for k, v in dataclasses.asdict(options).items()
        if k not in ("checkpoint_every_seconds", "preview_every_steps")
    }
    digest.update(json.dumps([told, dataclasses.asdict(recipe), backend.name], sort_keys=True).encode())
    for view in dataset.views:
        digest.update(f"{view.name} {view.width} {view.height} {view.path.stat().st_size}".encode())
        digest.update(view.viewmat.tobytes() + view.K.tobytes())
        if view.mask_path is not None:
            digest.update(view.mask().tobytes())
    digest.update(dataset.points.tobytes() + dataset.colors.tobytes())
    return digest.hexdigest()


def input_warnings(dataset: Dataset) -> list[str]:
    """What a user should know of the input before trusting the result."""
    found = []
    if len(dataset.training) < 10:
        found.append(
            f"Only {len(dataset.training)} views to train on: expect a scene that looks right from near these views only. "
            "Film more of it, slowly and from more sides."
        )
    if len(dataset.points) < 500:
        found.append(f"Only {len(dataset.points)} 3D points to start from; surfaces without texture may be missing.")
    return found


class single_threaded_torch:
    """PyTorch keeps to one thread while the native rasteriser uses them all: two pools on the same cores wait for each other."""

    def __init__(self, backend: Backend) -> None:
        self._on = backend.device.type == "cpu"

    def __enter__(self) -> None:
        self._before = torch.get_num_threads()
        if self._on:
            torch.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._before)


def as_json(
    record: TrainRecord,
    evaluation: Evaluation,
    masked: SubjectEvaluation | None,
    state: TrainState,
    options: TrainOptions,
) -> dict[str, Any]:
    """train.json: the record with every held-out view and the history."""

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    data = dataclasses.asdict(record)
    scores = [
        {k: finite(v) if isinstance(v, float) else v for k, v in dataclasses.asdict(s).items()}
        for s in evaluation.views
    ]
    for name in ("psnr_db", "ssim", "width", "height", "held_out"):
        data.pop(name)
    data["evaluation"] = {
        "held_out": list(record.held_out),
        "psnr_db": record.psnr_db,
        "ssim": finite(record.ssim),
        "width": record.width,
        "height": record.height,
        "long_side_cap_px": EVALUATION_SIDE_PX,
        "views": scores,
    }
    if masked is not None:
        data["evaluation"]["masked"] = dataclasses.asdict(masked)
    data["history"] = state.history
    data["options"] = dataclasses.asdict(options)
    data["sh_degree"] = COEFFS_OF_DEGREE.index(state.params.sh_coeffs.shape[1])
    return data
