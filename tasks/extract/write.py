"""JPEG files of frames."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from tasks.extract.output import writing

FRAMES = "frames"


def frame_name(index: int) -> str:
    """`frame_000123.jpg`: sorts by index."""
    return f"frame_{index:06d}.jpg"


def write_jpeg(path: Path, image: np.ndarray, quality: int) -> None:
    """Write (H, W, 3) uint8 sRGB, chroma at full size.  Raises: DiskFull, OutputUnwritable."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=0)
    with writing(path), path.open("wb") as file:
        file.write(buffer.getbuffer())
