"""What masks cost and how steady they are: `python -m benchmarks.mask [fox] [stone_sign] ...` prints a Markdown table.

Needs the captures and u2netp in ../shared/data. Each clip goes through our own extract step first. Three ways are compared: rembg
as it is (one look, stretched from 0 to 1, resized), one look of ours, and the default. Steadiness is the overlap (IoU) of each mask
with its neighbour's, carried over by optical flow, where that flow can be trusted: the mean, and the worst tenth. It needs no
true masks, and a mask that is steadily wrong passes, so look at the pictures, too (`--sheet DIR` writes one a clip).
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tasks.extract.options import ExtractOptions
from tasks.extract.step import extract
from tasks.mask.model import find_model
from tasks.mask.options import MaskOptions
from tasks.mask.segment import read_frame, small
from tasks.mask.steady import Flow, carry
from tasks.mask.step import mask

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MAX_FRAMES = 80
GROUND = np.array([200, 80, 200])


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def steadiness(frames: list[Path], masks: list[Path]) -> str:
    """Mean and tenth percentile of the IoU of neighbours' masks."""
    flow, found = Flow(), []
    previous: tuple[np.ndarray, np.ndarray] | None = None
    for frame, path in zip(frames, masks, strict=True):
        picture = read_frame(frame)
        shape = (picture.shape[0], picture.shape[1])
        gray = small(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), shape)
        alpha = small(np.asarray(Image.open(path)), shape)
        if previous is not None:
            place, trust = flow.between(gray, previous[0])
            a, b, sure = alpha >= 128, carry(previous[1], place) >= 128, trust > 0.5
            found.append((a & b & sure).sum() / max((((a | b) & sure).sum()), 1))
        previous = gray, alpha
    return f"{np.mean(found):.3f} / {np.percentile(found, 10):.3f}"


def plain_rembg(frames: list[Path], model: Path, out: Path) -> None:
    """What rembg's own `predict` gives."""
    import onnxruntime
    from rembg.sessions import sessions

    base = sessions["u2netp"]
    here = {"download_models": classmethod(lambda cls, *args, **kwargs: str(model))}
    session = type("Local", (base,), here)("u2netp", onnxruntime.SessionOptions())
    out.mkdir()
    for frame in frames:
        with Image.open(frame) as image:
            session.predict(image.convert("RGB"))[0].save(out / f"{frame.stem}.png")


def sheet(frames: list[Path], masks: list[Path], out: Path, *, columns: int = 10, height: int = 180) -> None:
    """Evenly spaced frames with a plain ground in place of the background, above their masks."""
    tiles = []
    for index in np.linspace(0, len(frames) - 1, columns).astype(int):
        picture, alpha = read_frame(frames[index]), np.asarray(Image.open(masks[index])) / 255.0
        cut = picture * alpha[..., None] + GROUND * (1.0 - alpha[..., None])
        size = (max(1, round(picture.shape[1] * height / picture.shape[0])), height)
        both = [cut, np.repeat(255.0 * alpha[..., None], 3, 2)]
        tiles.append(np.concatenate([cv2.resize(tile, size, interpolation=cv2.INTER_AREA) for tile in both]))
    Image.fromarray(np.concatenate(tiles, 1).astype(np.uint8)).save(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("captures", nargs="*", default=["fox", "stone_sign"])
    parser.add_argument("--sheet", type=Path, help="folder for pictures of the masks")
    args = parser.parse_args()
    model = find_model(DATA / "u2netp", "u2netp")
    print("| clip | frames | way | wall s a frame | CPU s a frame | with subject | coverage | mended | steadiness |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in args.captures:
        with tempfile.TemporaryDirectory() as folder:
            base = Path(folder)
            extract(DATA / name / "video.mp4", base / "in", ExtractOptions(max_frames=MAX_FRAMES), lambda *_: None)
            frames = sorted((base / "in" / "frames").iterdir())
            with Image.open(frames[0]) as image:
                title = f"{name} {image.width}x{image.height} | {len(frames)}"
            wall, cpu = time.perf_counter(), cpu_seconds()
            plain_rembg(frames, model, base / "plain")
            wall, cpu = (time.perf_counter() - wall) / len(frames), (cpu_seconds() - cpu) / len(frames)
            steady = steadiness(frames, sorted((base / "plain").iterdir()))
            print(f"| {title} | rembg alone | {wall:.2f} | {cpu:.2f} | | | | {steady} |", flush=True)
            for looks in (1, 2):
                out = base / f"looks{looks}"
                cpu = cpu_seconds()
                record = mask(base / "in", out, MaskOptions(looks=looks), model, lambda *_: None)
                cpu = (cpu_seconds() - cpu) / len(frames)
                masks = sorted((out / "masks").iterdir())
                print(
                    f"| {title} | {looks} look{'s' * (looks > 1)} | {record.seconds_per_frame:.2f} | {cpu:.2f} | "
                    f"{record.frames_with_subject} | {record.coverage:.1%} | {len(record.mended)} | {steadiness(frames, masks)} |",
                    flush=True,
                )
            if args.sheet:
                args.sheet.mkdir(parents=True, exist_ok=True)
                sheet(frames, masks, args.sheet / f"{name}.png")
                still = json.loads((out / "mask.json").read_text())["stillness"]
                print(f"{name}: {still}")


if __name__ == "__main__":
    main()
