"""Frames to an MP4 that plays everywhere: H.264 with 4:2:0, BT.709, its index in front."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation
from numpy.typing import NDArray

from tasks.errors import VideoEncoderMissing

KEY_EVERY_SECONDS = 2  # so that a player finds any moment fast
MOST_THREADS = 8  # each holds frames of its own; more don't make it faster at this size
# not only what scaling needs: the right value, whatever the processor, and colour from all pixels of a block
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP | Interpolation.FULL_CHR_H_INT


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """An encoder that may be there.

    Attributes:
        name: FFmpeg's.
        options: of the encoder; a quality that hardly differs from the frames.
        bits_per_pixel: for those that know no quality; None: not needed.
    """

    name: str
    options: dict[str, str]
    bits_per_pixel: float | None = None


ENCODERS = (
    Encoder(name="libx264", options={"crf": "18", "preset": "veryfast", "profile": "high"}),
    Encoder(name="libopenh264", options={}, bits_per_pixel=0.15),
    Encoder(name="libsvtav1", options={"crf": "26", "preset": "8"}),  # not every player has AV1
)


def choose_encoder() -> Encoder:
    """The first encoder that this build of FFmpeg has.

    Raises VideoEncoderMissing when it has none.
    """
    for encoder in ENCODERS:
        if encoder.name in av.codecs_available:
            return encoder
    names = ", ".join(encoder.name for encoder in ENCODERS)
    raise VideoEncoderMissing(
        f"A turntable needs one of the encoders {names}, and PyAV here has none; install PyAV from PyPI (pip install av), "
        "or run without a turntable."
    )


def encode(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],  # (H, W, 3) sRGB each; H and W even
    encoder: Encoder,
    *,
    width: int,
    height: int,
    fps: int,
    threads: int | None = None,
) -> None:
    """Write the frames as they come to `path`; no more of them are held than the encoder looks ahead.

    Raises OSError when it can't be written.
    """
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream: Any = container.add_stream(encoder.name, rate=fps, options=dict(encoder.options))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, fps)
        context = stream.codec_context
        context.gop_size = KEY_EVERY_SECONDS * fps
        context.thread_count = min(MOST_THREADS, threads or os.cpu_count() or 1)
        context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        if encoder.bits_per_pixel is not None:
            context.bit_rate = round(encoder.bits_per_pixel * width * height * fps)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p",
                src_color_range=ColorRange.JPEG,
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                dst_color_primaries=ColorPrimaries.BT709,
                dst_color_trc=ColorTrc.BT709,
                interpolation=EXACT,
            )
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
