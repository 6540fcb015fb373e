"""The mask step: frames in, one alpha picture a frame out."""

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tasks.errors import MaskModelUnusable, NoSubject
from tasks.gaussians.files import new_folder
from tasks.mask import judge
from tasks.mask.islands import drop_islands
from tasks.mask.model import check_model, model_sha256
from tasks.mask.network import Network
from tasks.mask.options import MaskOptions, MaskRecord
from tasks.mask.segment import alpha_of, coarse_maps, corrected, read_frame, small, write_mask
from tasks.mask.steady import steady
from tasks.mask.turntable import measure_stillness

Progress = Callable[[int, int, str], None]
TOTAL = 1000
NETWORK_TO, STEADY_TO = 780, 860
MENDED = 0.1  # part of the subject that must have changed for a frame to count as mended


def _read_names(extracted: Path) -> tuple[list[Path], bool]:
    """Frames in order, and whether neighbours in the list are neighbours in time."""
    facts = json.loads((extracted / "extract.json").read_text())
    frames = sorted(p for p in (extracted / "frames").iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not frames:
        raise NoSubject("There are no frames to find a subject in; give a longer clip.")
    return frames, bool(facts.get("ordered", True))


def _mend(
    maps: list[np.ndarray], grays: Sequence[np.ndarray], *, ordered: bool, progress: Callable[[int, int], None]
) -> list[float]:
    """Make small maps steady and free of islands, in place; the changed part of each."""
    changed = steady(grays, maps, progress) if ordered else [0.0] * len(maps)
    for index, values in enumerate(maps):
        kept = drop_islands(values / np.float32(255.0))
        maps[index] = np.where(kept > 0, values, 0).astype(np.uint8)
    return changed


def mask(extracted: Path, out: Path, options: MaskOptions, model: Path, progress: Progress) -> MaskRecord:
    """Write `masks/<frame stem>.png` (8-bit gray, 255 = subject, of the frame's size) and `mask.json` to the new folder `out`.

    Maps of the whole clip wait on the disk; in memory are a few small bytes a frame. Nothing is downloaded.

    Args:
        extracted: the extract step's folder.
        model: the model's file, see `tasks.mask.model.find_model`.
        progress: called with (done, total, message); may raise to stop.

    Raises:
        MaskModelMissing, MaskModelUnusable: before anything else is done.
        NoSubject: (nearly) all frames are background.
        DiskFull, OutputUnwritable: nothing is left behind in either case.
    """
    started = time.perf_counter()
    check_model(model, options.model)
    digest = model_sha256(model)
    if options.model_sha256 and options.model_sha256.lower() != digest:
        raise MaskModelUnusable(f"{model.name} isn't the file that was asked for; it changed meanwhile: start again.")
    paths, ordered = _read_names(extracted)
    threads = options.num_threads or len(os.sched_getaffinity(0))
    with new_folder(out) as part:
        work, masks = part / "work", part / "masks"
        work.mkdir()
        masks.mkdir()
        progress(0, TOTAL, "loading the mask model")
        network = Network(model, options.model, num_threads=threads)
        grays: list[np.ndarray] = []
        maps: list[np.ndarray] = []
        for path, (coarse, gray, shape) in zip(paths, coarse_maps(network, paths, looks=options.looks), strict=True):
            np.save(work / f"{path.stem}.npy", coarse)
            grays.append(gray)
            maps.append(small(coarse, shape))
            progress(NETWORK_TO * len(maps) // len(paths), TOTAL, f"masks of {len(maps)} of {len(paths)} frames")
        before = list(maps)
        spread = STEADY_TO - NETWORK_TO
        changed = _mend(
            maps,
            grays,
            ordered=ordered,
            progress=lambda done, total: progress(NETWORK_TO + spread * done // total, TOTAL, "mending masks"),
        )
        judge.require_subject(maps)
        still = measure_stillness(grays, maps)
        grays.clear()
        frames: list[dict[str, Any]] = []
        for index, path in enumerate(paths):
            foreground = corrected(np.load(work / f"{path.stem}.npy"), before[index], maps[index])
            alpha = alpha_of(read_frame(path), foreground)
            write_mask(masks / f"{path.stem}.png", alpha)
            frames.append(
                {
                    "name": path.name,
                    "coverage": float(alpha.mean() / 255.0),
                    "subject": judge.has_subject(alpha),
                    "mended": changed[index] >= MENDED,
                    "changed": changed[index],
                }
            )
            progress(
                STEADY_TO + (TOTAL - STEADY_TO) * (index + 1) // len(paths),
                TOTAL,
                f"edges of {index + 1} of {len(paths)} masks",
            )
        shutil.rmtree(work)
        seconds = time.perf_counter() - started
        shown = [frame["coverage"] for frame in frames if frame["subject"]]
        record = MaskRecord(
            frames=len(paths),
            frames_with_subject=len(shown),
            coverage=float(np.mean(shown)) if shown else 0.0,
            mended=tuple(frame["name"] for frame in frames if frame["mended"]),
            background="stands_still" if still.stands_still else "moves",
            model=options.model,
            model_sha256=digest,
            seconds_per_frame=seconds / len(paths),
            warnings=tuple(judge.warnings_about(frames)),
        )
        details = {
            **asdict(record),
            "options": asdict(options),
            "ordered": ordered,
            "frames": frames,
            "stillness": {**asdict(still), "stands_still": still.stands_still},
            "on_gpu": network.on_gpu,
            "seconds": seconds,
        }
        (part / "mask.json").write_text(json.dumps(details, indent=1))
    return record
