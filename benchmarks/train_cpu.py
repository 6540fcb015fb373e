"""Figures of CPU training for RESULTS.md: the profile of a step, and whole runs.

    python benchmarks/train_cpu.py step  [--posed DIR]   a step at fixed Gaussians and full resolution, part by part
    python benchmarks/train_cpu.py quick [--posed DIR]   `splatflow train --preset quick`
    python benchmarks/train_cpu.py long  [--posed DIR]   3,000 steps, 50,000 Gaussians

DIR holds `images/` and `colmap/`; by default the fox of ../shared/data/fox_posed (269x480, 43 training views).
"""

import argparse
import json
import platform
import statistics
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from cli.presets import PRESETS
from tasks.gaussians.model import COEFFS_OF_DEGREE
from tasks.train.backend import choose_backend
from tasks.train.dataset import load_dataset
from tasks.train.loop import TrainingViews, fresh_state, learning_rates, scene_radius
from tasks.train.options import TrainOptions
from tasks.train.recipe import Recipe
from tasks.train.step import single_threaded_torch, train

FOX = Path(__file__).resolve().parents[2] / "shared" / "data" / "fox_posed"
PARTS = ("projection", "binning", "forward", "backward", "projection backward")


def machine() -> str:
    """Processor, SIMD level and commit, for the heading of a table."""
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    backend = choose_backend("cpu", None).name
    return f"{names[0] if names else platform.processor()}, {len(names)} cores, {backend}; torch {torch.__version__}; commit {commit}"


def profile(posed: Path, steps: int = 200) -> None:
    """Train `steps` steps at full resolution and SH degree 3 without densification; print medians of the last 100."""
    dataset, backend = load_dataset(posed), choose_backend("cpu", None)
    options = TrainOptions(steps=steps, max_gaussians=len(dataset.points), train_side_px=1_600, device="cpu")
    recipe = replace(Recipe(), sizes=((0.0, 1.0),), sh_from=(0.0, 0.0, 0.0, 0.0))
    state = fresh_state(dataset, options, backend, recipe)
    views = TrainingViews(dataset.training, options.train_side_px, backend)
    views.set_factor(1.0)
    state.optimizer.grow_sh(state.params, COEFFS_OF_DEGREE[3])
    radius, rows, pairs = scene_radius(dataset.views), [], []
    with single_threaded_torch(backend):
        for step in range(steps):
            params = state.params
            truth, viewmat, K = views[step % len(views)]
            begun = time.perf_counter()
            images, _, meta = backend.rasterization(
                params.means, params.quats, params.scales.exp(), params.opacities.sigmoid(), params.sh_coeffs,
                viewmat, K, truth.shape[1], truth.shape[0], sh_degree=3,
            )  # fmt: skip
            rendered = time.perf_counter()
            loss = backend.l1_ssim_loss(images[0], truth, recipe.ssim_lambda)
            compared = time.perf_counter()
            loss.backward()
            differentiated = time.perf_counter()
            rates = learning_rates(recipe, params, radius, step, steps, backend.device)
            state.optimizer.step(params, rates, step=step + 1, visible=backend.visible(meta))
            ended = time.perf_counter()
            frame = meta["frames"][0]
            row = dict(zip(PARTS, frame.seconds, strict=True))
            row["L1 + SSIM with gradient"] = compared - rendered
            row["optimiser"] = ended - differentiated
            row["the rest (PyTorch, Python)"] = (ended - begun) - sum(row.values())
            row["whole step"] = ended - begun
            rows.append(row)
            pairs.append(
                (frame.pairs * 64 / truth[..., 0].numel(), frame.contributing / truth[..., 0].numel(), frame.seen)
            )
    tail = rows[-100:]
    evaluated, contributing, seen = (statistics.median(column) for column in zip(*pairs[-100:], strict=True))
    print(
        f"{len(state.params):,} Gaussians, {seen:,.0f} seen; {evaluated:.0f} pairs a pixel in tiles, {contributing:.0f} contribute\n"
    )
    print("| part | ms |\n|---|---|")
    for name in tail[0]:
        print(f"| {name} | {1e3 * statistics.median(row[name] for row in tail):.1f} |")


def whole_run(posed: Path, options: TrainOptions) -> None:
    """One run through the train step; a line of figures."""
    with tempfile.TemporaryDirectory() as folder:
        record = train(posed, Path(folder) / "out", options, lambda done, total, message: None)
        history = json.loads((Path(folder) / "out" / "train.json").read_text())["history"]
    print(
        "| steps | Gaussians | training.seconds | seconds per step | held-out PSNR | SSIM |\n|---|---|---|---|---|---|"
    )
    print(
        f"| {record.steps:,} | {record.num_gaussians:,} | {record.seconds:.1f} | {record.seconds_per_step:.4f} | "
        f"{record.psnr_db:.2f} | {record.ssim:.4f} |"
    )
    print(f"\nof which by a third of the steps: {history[len(history) // 3]['seconds']:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("step", "quick", "long"))
    parser.add_argument("--posed", type=Path, default=FOX)
    args = parser.parse_args()
    print(f"{machine()}\n{args.posed.name}, {args.what}\n")
    if args.what == "step":
        profile(args.posed)
    elif args.what == "quick":
        quick = PRESETS["quick"]
        told = {name: quick[name] for name in ("steps", "max_gaussians", "train_side_px")}
        whole_run(args.posed, TrainOptions(device="cpu", **told))
    else:
        whole_run(args.posed, TrainOptions(device="cpu", steps=3_000, max_gaussians=50_000, train_side_px=1_600))


if __name__ == "__main__":
    main()
