"""Figures of training a subject alone for RESULTS.md: with and without masks, judged within the same masks.

    python -m benchmarks.masked POSED... [--steps N] [--max-gaussians N] [--train-side-px N] [--pictures DIR]

POSED holds images/, masks/ and colmap/, as the sfm step leaves them where a background is removed. Each is trained twice with the
same options and seed, and judged within the masks that training made of those given, which agree, and within those given. With
`--pictures`, pieces at the edge of the subject are left there: the photo, the subject cut out of it, the render with masks, each
held-out view a row.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np

from tasks.train.dataset import evaluation_mask, evaluation_view, load_dataset
from tasks.train.evaluate_subject import edge_band
from tasks.train.judge import judge
from tasks.train.options import TrainOptions
from tasks.train.step import train
from tasks.train.subject import INSIDE, NEUTRAL_GROUND, premultiplied_subject

PIECE_PX = 200
ROWS = 4


def silent(done: int, total: int, message: str) -> None:
    pass


def compare(posed: Path, options: TrainOptions, work: Path, pictures: Path | None) -> None:
    """Train with and without masks; a line of figures for each."""
    bare = work / "bare"
    shutil.copytree(posed, bare, ignore=shutil.ignore_patterns("masks"))
    train(posed, work / "masked", options, silent)
    train(bare, work / "unmasked", options, silent)
    for name in ("unmasked", "masked"):
        result = work / f"result_{name}"
        shutil.copytree(bare, result)
        shutil.copy(work / name / "scene.ply", result)
        masked = judge(result, silent, masks=work / "masked" / "masks").masked
        given = judge(result, silent, masks=posed / "masks").masked
        assert masked is not None
        assert given is not None
        record = json.loads((work / name / "train.json").read_text())
        print(
            f"| {posed.name}, {name} | {masked.psnr_db:.2f} | {masked.band_psnr_db:.2f} | {masked.alpha_mae:.4f} | "
            f"{100 * masked.volume_inside:.1f} % | {record['num_gaussians']:,} | {record['seconds']:.0f} | "
            f"{record['evaluation']['psnr_db']:.2f} | {given.psnr_db:.2f} |",
            flush=True,
        )
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(pictures / f"edge_{posed.name}.png"), edges(posed, work / "masked"))


def edges(posed: Path, trained: Path) -> np.ndarray:
    """Photo, subject and render side by side where the most of the edge is, a row for each of some held-out views; BGR."""
    rows = []
    for view in load_dataset(posed, trained / "masks").held_out[:ROWS]:
        photo, _ = evaluation_view(view)
        mask = evaluation_mask(view)
        render = cv2.imread(str((trained / "renders" / view.name).with_suffix(".png")))[..., ::-1]
        ground = (1 - mask[..., None] / 255) * NEUTRAL_GROUND * 255
        cut = np.round(premultiplied_subject(photo, mask) + ground).astype(np.uint8)
        size = (min(PIECE_PX, photo.shape[1]), min(PIECE_PX, photo.shape[0]))
        amount = cv2.blur(edge_band(mask >= INSIDE).astype(np.float32), size)
        half = (size[1] // 2, size[0] // 2)
        amount = amount[half[0] : photo.shape[0] - half[0], half[1] : photo.shape[1] - half[1]]
        y, x = np.unravel_index(int(amount.argmax()), amount.shape)
        rows.append(np.hstack([p[y : y + size[1], x : x + size[0]] for p in (photo, cut, render)]))
    return np.vstack(rows)[..., ::-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posed", type=Path, nargs="+")
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--max-gaussians", type=int, default=30_000)
    parser.add_argument("--train-side-px", type=int, default=480)
    parser.add_argument("--pictures", type=Path)
    args = parser.parse_args()
    options = TrainOptions(
        steps=args.steps, max_gaussians=args.max_gaussians, train_side_px=args.train_side_px, device="cpu"
    )
    print(
        "| scene | PSNR in the mask | at its edge | alpha off by | volume inside | Gaussians | seconds "
        "| PSNR of the frame | in the masks as given |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for posed in args.posed:
        with tempfile.TemporaryDirectory() as work:
            compare(posed, options, Path(work), args.pictures)


if __name__ == "__main__":
    main()
