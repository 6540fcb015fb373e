"""Peak memory of a training by Gaussians and pictures, and what a checkpoint of it weighs: the figures behind `tasks.train.memory`.

    python -m benchmarks.memory [--gaussians N,N] [--views N,N] [--sides PX,PX]

Each row is a training of a few steps in a process of its own, on points and pictures made at random, so every Gaussian is seen; all
degrees of the harmonics are in use from the second step on. "Estimate" is `tasks.train.memory.peak_bytes`.
"""

import argparse
import tempfile
import time
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pycolmap

from tasks.process.digest import of_file
from tasks.process.messages import Job
from tasks.process.runner import run_step
from tasks.train.memory import peak_bytes
from tasks.train.options import TrainOptions

STEPS = 6


def write_random(folder: Path, *, gaussians: int, views: int, side_px: int) -> Path:
    """A posed folder of noise: 16:9 pictures, cameras around a cloud of points."""
    rng = np.random.default_rng(0)
    width, height = side_px, side_px * 9 // 16
    (folder / "images").mkdir(parents=True)
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera(
        model="PINHOLE", width=width, height=height, params=[width, width, width / 2, height / 2], camera_id=1
    )
    model.add_camera_with_trivial_rig(camera)
    picture = cv2.GaussianBlur(rng.integers(0, 255, (height, width, 3), np.uint8), (0, 0), 4)
    for number in range(views):
        name = f"frame_{number:06d}.jpg"
        cv2.imwrite(str(folder / "images" / name), picture)
        angle = 2 * np.pi * number / views
        turn = pycolmap.Rotation3d(np.array([0.0, np.sin(angle / 2), 0.0, np.cos(angle / 2)]))
        pose = pycolmap.Rigid3d(turn, np.array([0.0, 0.0, 3.0]))
        model.add_image_with_trivial_frame(pycolmap.Image(name=name, camera_id=1, image_id=number + 1), pose)
    for point in rng.uniform(-0.9, 0.9, (gaussians, 3)):
        model.add_point3D(point, pycolmap.Track(), np.array([128, 128, 128], np.uint8))
    (folder / "colmap").mkdir()
    model.write(str(folder / "colmap"))
    return folder


def measure(gaussians: int, views: int, side_px: int, train_side_px: int) -> str:
    """One row of the table."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        posed = write_random(folder / "posed", gaussians=gaussians, views=views, side_px=side_px)
        options = TrainOptions(
            steps=STEPS,
            max_gaussians=gaussians,
            train_side_px=train_side_px,
            device="cpu",
            checkpoint_every_seconds=0.0,
        )
        out, seen = folder / "out", {"bytes": 0, "sha": 0.0}

        def progress(done: int, total: int, message: str) -> None:
            path = out / "checkpoint.pt"
            if done == total and path.is_file():
                seen["bytes"] = path.stat().st_size
                begun = time.monotonic()
                of_file(path)
                seen["sha"] = time.monotonic() - begun

        job = Job(
            function="tasks.train.step:train", arguments={"posed": posed, "out": out, "options": options}, out=out
        )
        outcome = run_step(job, progress, folder / "log")
        trained = outcome.record["num_gaussians"]
        estimate = peak_bytes(
            gaussians=gaussians, views=views, width_px=side_px, height_px=side_px * 9 // 16, train_side_px=train_side_px
        )
        return (
            f"| {trained:,} | {views} | {side_px} | {train_side_px} | {outcome.peak_memory_bytes / 1e6:,.0f} | {estimate / 1e6:,.0f} "
            f"| {seen['bytes'] / 1e6:,.1f} | {seen['sha']:.1f} |"
        )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gaussians", default="20000,100000,300000,1000000")
    parser.add_argument("--views", default="12,60")
    parser.add_argument("--sides", default="640,1600")
    parser.add_argument(
        "--train-side", type=int, default=1600, help="long side trained on; pictures are never enlarged"
    )
    given = parser.parse_args()
    lists = [[int(n) for n in text.split(",")] for text in (given.gaussians, given.views, given.sides)]
    print(
        "| Gaussians | views | side px | trained at px | peak MB | estimate MB | checkpoint MB | its SHA-256 s |\n"
        + "|---" * 8
        + "|"
    )
    for gaussians, views, side_px in product(*lists):
        print(measure(gaussians, views, side_px, min(side_px, given.train_side)), flush=True)


if __name__ == "__main__":
    main()
