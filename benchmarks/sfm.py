"""What structure from motion costs and gives: `python -m benchmarks.sfm [fox] [stone_sign] ...` prints a Markdown table.

Needs the captures in ../shared/data. CPU seconds are those of this process and all its children. Poses of the fox are compared
with the model in `fox_posed` (same frames in the same order) after a similarity; that model is an opinion too, so small
differences mean nothing. Where a loop closes, points seen from both ends of the clip show that the model knows it.
Peak memory is that of the largest process so far, so it means something with `--only` alone.
"""

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from tasks.geometry.similarity import align_points
from tasks.sfm.options import SfmOptions
from tasks.sfm.step import reconstruct
from tests.support.capture_folder import video_frames, write_capture

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
EVERY = {"gopro_max_walk": 3}

VARIANTS: dict[str, SfmOptions] = {
    "default (glomap, 2048 features, side 800)": SfmOptions(),
    "colmap (incremental)": SfmOptions(method="colmap"),
    "1024 features": SfmOptions(max_features=1024),
    "3072 features": SfmOptions(max_features=3072),
    "side 640": SfmOptions(feature_side_px=640),
    "side 1280": SfmOptions(feature_side_px=1280),
    "overlap 4": SfmOptions(overlap=4),
    "overlap 16": SfmOptions(overlap=16),
    "no retrieval": SfmOptions(retrieval=0),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    variant: str
    wall_s: float
    cpu_s: float
    registered: str
    points: int
    error_px: float
    accuracy: str
    peak_mb: float

    def markdown(self) -> str:
        return (
            f"| {self.variant} | {self.wall_s:.0f} | {self.cpu_s:.0f} | {self.registered} | {self.points:,} | "
            f"{self.error_px:.2f} | {self.accuracy} | {self.peak_mb:.0f} |"
        )


def cpu_seconds() -> float:
    """User and system time of this process and the children it has waited for."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def pose_errors(model: pycolmap.Reconstruction, reference: pycolmap.Reconstruction) -> str:
    """Median rotation error and centre error (in % of the cameras' mean distance from their middle)."""

    def poses(of: pycolmap.Reconstruction, place: Callable[[str, list[str]], int]) -> dict[int, np.ndarray]:
        images = sorted((of.images[i] for i in of.reg_image_ids()), key=lambda image: image.name)
        names = [image.name for image in images]
        return {place(image.name, names): image.cam_from_world().matrix() for image in images}

    # Ours are numbered from 1 in the order of the video; the reference has all frames, in the same order, under other names.
    ours = poses(model, lambda name, _: int(Path(name).stem) - 1)
    theirs = poses(reference, lambda name, names: names.index(name))
    common = sorted(set(ours) & set(theirs))
    a = np.array([-ours[k][:, :3].T @ ours[k][:, 3] for k in common])
    b = np.array([-theirs[k][:, :3].T @ theirs[k][:, 3] for k in common])
    fit = align_points(a, b)
    size = np.linalg.norm(b - b.mean(0), axis=1).mean()
    centre = np.median(np.linalg.norm(fit.apply(a) - b, axis=1)) / size
    turns = []
    for k in common:
        error = ours[k][:, :3] @ fit.rotation.T @ theirs[k][:, :3].T
        turns.append(np.rad2deg(np.arccos(np.clip((np.trace(error) - 1) / 2, -1, 1))))
    return f"{np.median(turns):.2f} deg, {100 * centre:.2f} %"


def loop_points(model: pycolmap.Reconstruction) -> str:
    """Points seen from the first and from the last tenth of the clip."""
    order = sorted(model.reg_image_ids(), key=lambda i: model.images[i].name)
    tenth = max(1, len(order) // 10)
    first, last = set(order[:tenth]), set(order[-tenth:])
    count = 0
    for point in model.points3D.values():
        seen = {e.image_id for e in point.track.elements}
        count += bool(seen & first) and bool(seen & last)
    return f"{count} points join both ends"


def judge(name: str, model: pycolmap.Reconstruction) -> str:
    if name == "fox":
        return pose_errors(model, pycolmap.Reconstruction(DATA / "fox_posed" / "colmap"))
    return loop_points(model)


def stock_pycolmap(capture: Path, out: Path) -> pycolmap.Reconstruction:
    """COLMAP's own pipeline on the CPU as it is usually called: SIFT, sequential matching, incremental mapping."""
    out.mkdir()
    pycolmap.logging.minloglevel = 2
    reader = pycolmap.ImageReaderOptions(camera_model="OPENCV")
    database = out / "database.db"
    pycolmap.extract_features(
        database, capture / "frames", camera_mode=pycolmap.CameraMode.SINGLE, reader_options=reader
    )
    pycolmap.match_sequential(database)
    models = pycolmap.incremental_mapping(database, capture / "frames", out)
    return max(models.values(), key=lambda m: m.num_reg_images())


def measure(variant: str, name: str, frames: int, run: Callable[[], pycolmap.Reconstruction]) -> Row:
    wall, cpu = time.perf_counter(), cpu_seconds()
    model = run()
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    model.update_point_3d_errors()
    return Row(
        variant=f"{name}: {variant}",
        wall_s=wall,
        cpu_s=cpu,
        registered=f"{model.num_reg_images()}/{frames}",
        points=model.num_points3D(),
        error_px=float(model.compute_mean_reprojection_error()),
        accuracy=judge(name, model),
        peak_mb=max(resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("captures", nargs="*", default=["fox"])
    parser.add_argument("--only", help="variants whose name contains this")
    parser.add_argument("--stock", action="store_true", help="also COLMAP's own pipeline (minutes)")
    args = parser.parse_args()
    print(
        "| variant | wall s | CPU s | registered | points | error px | accuracy | peak MB |\n|---|---|---|---|---|---|---|---|"
    )
    for name in args.captures:
        with tempfile.TemporaryDirectory() as folder:
            base = Path(folder)
            frames = video_frames(DATA / name / "video.mp4", every=EVERY.get(name, 1))
            capture = write_capture(base / "in", frames)
            count = len(frames)
            del frames
            for variant, options in VARIANTS.items():
                if args.only and args.only not in variant:
                    continue
                out = base / "out"

                def ours(
                    out: Path = out, capture: Path = capture, options: SfmOptions = options
                ) -> pycolmap.Reconstruction:
                    reconstruct(capture, out, options, lambda done, total, message: None)
                    return pycolmap.Reconstruction(out / "colmap")

                print(measure(variant, name, count, ours).markdown(), flush=True)
                shutil.rmtree(out)
            if args.stock:
                row = measure("COLMAP's own", name, count, lambda c=capture, b=base: stock_pycolmap(c, b / "stock"))
                print(row.markdown(), flush=True)


if __name__ == "__main__":
    main()
