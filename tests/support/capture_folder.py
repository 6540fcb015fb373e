"""The extract step's output folder, made of given images or of a real video."""

import json
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from PIL import Image


def write_capture(
    folder: Path, images: Sequence[np.ndarray], *, ordered: bool = True, focal_px: float | None = None
) -> Path:
    """`frames/*.jpg` and `extract.json` of (H, W) or (H, W, 3) uint8 images."""
    (folder / "frames").mkdir(parents=True)
    names = [f"{i:05d}.jpg" for i in range(1, len(images) + 1)]
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).convert("RGB").save(folder / "frames" / name, quality=95)
    facts = {
        "ordered": ordered,
        "focal_px": dict.fromkeys(names, focal_px) if focal_px else {},
        "frames_kept": len(names),
    }
    (folder / "extract.json").write_text(json.dumps(facts))
    return folder


def video_frames(path: Path, *, every: int = 1, limit: int = 10_000) -> list[np.ndarray]:
    """(H, W, 3) uint8 of every n-th frame, as they are."""
    frames = []
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % every == 0:
                frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) >= limit:
                break
    return frames
