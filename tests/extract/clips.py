"""Videos made for the tests: a camera that pans over a textured wall, in any container, coding and damage."""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame

TIME_BASE = Fraction(1, 12_800)  # of clips with times of their own


def wall(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 with texture at every scale."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    for cell in (4, 8, 16, 32, 64):
        noise = rng.normal(size=(height // cell + 2, width // cell + 2, 3)).astype(np.float32)
        image += np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)) * cell**0.5
    image -= image.min()
    return (image * (255 / image.max())).astype(np.uint8)


def pan(count: int, width: int = 320, height: int = 180, step_px: float | Sequence[float] = 4.0) -> list[np.ndarray]:
    """`count` views (height, width, 3), each `step_px` right of the one before."""
    steps = np.full(count - 1, step_px) if isinstance(step_px, float | int) else np.asarray(step_px)
    offsets = np.concatenate([[0.0], np.cumsum(steps)])
    image = wall(height, width + int(offsets[-1]) + 2)
    views = []
    for offset in offsets:
        shift = np.array([[1, 0, -offset], [0, 1, 0]], np.float32)
        views.append(np.asarray(cv2.warpAffine(image, shift, (width, height), flags=cv2.INTER_LINEAR)))
    return views


def motion_blurred(image: np.ndarray, length: int) -> np.ndarray:
    """The picture smeared over `length` px sideways."""
    return np.asarray(cv2.blur(image, (length, 1)))


def write_clip(
    path: Path,
    views: Iterable[np.ndarray],
    *,
    fps: int = 30,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    times: Sequence[float] | None = None,
    rotation_deg: float | None = None,
    matrix: Sequence[int] | None = None,
    container_options: dict[str, str] | None = None,
    gop: int = 12,
    aspect: Fraction | None = None,
    prepare: Callable[[VideoFrame], VideoFrame] | None = None,
) -> Path:
    """Encode (H, W, 3) uint8 views; `times` in seconds in place of even ones; `rotation_deg` counter-clockwise."""
    views = list(views)
    base = Fraction(1, fps) if times is None else TIME_BASE  # AVI fills the gaps of a finer one with empty frames
    height, width = views[0].shape[:2]
    with av.open(str(path), "w", options=container_options or {}) as output:
        options = {"preset": "ultrafast", "crf": "8", "bf": "0"} if codec == "libx264" else {}
        stream = output.add_stream(codec, rate=fps, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = base
        stream.gop_size = gop
        if aspect is not None:
            stream.sample_aspect_ratio = aspect
        if rotation_deg is not None:
            stream.set_display_rotation(rotation_deg)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        for i, view in enumerate(views):
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(view), format="rgb24")
            frame = prepare(frame) if prepare is not None else frame
            seconds = times[i] if times is not None else i / fps
            frame.pts, frame.time_base = round(seconds / base), base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def write_yuv(
    path: Path,
    planes: np.ndarray,
    *,
    pixel_format: str,
    count: int = 3,
    colorspace: int = 2,
    color_range: int = 0,
    transfer: int = 2,
    primaries: int = 2,
) -> Path:
    """A lossless clip of the same YUV 4:4:4 picture with the given tags.  planes: (3, H, W) uint8 or uint16

    The picture moves by 4 px from frame to frame, wrapping around, so that no frame repeats another.
    """
    _, height, width = planes.shape
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=30)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        context = stream.codec_context
        context.colorspace, context.color_range = colorspace, color_range
        context.color_trc, context.color_primaries = transfer, primaries
        for i in range(count):
            frame = VideoFrame(width, height, pixel_format)
            for plane, values in zip(frame.planes, np.roll(planes, 4 * i, axis=2), strict=True):
                line = np.zeros((height, plane.line_size // values.itemsize), values.dtype)
                line[:, :width] = values
                plane.update(line.tobytes())
            frame.colorspace, frame.color_range = colorspace, color_range
            frame.color_trc, frame.color_primaries = transfer, primaries
            frame.pts = i
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def write_repeated(path: Path, view: np.ndarray, count: int, *, fps: int = 30, codec: str = "libx264") -> Path:
    """A bomb: one coded picture, listed `count` times."""
    height, width = view.shape[:2]
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=fps, options={"preset": "ultrafast"} if codec == "libx264" else {})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        packets = stream.encode(VideoFrame.from_ndarray(view, format="rgb24")) + stream.encode(None)
        data = bytes(packets[0])
        output.start_encoding()
        base = stream.time_base or Fraction(1, fps)
        for i in range(count):
            packet = av.Packet(data)
            packet.stream = stream
            packet.is_keyframe = True
            packet.pts = packet.dts = round(i / fps / base)
            packet.time_base = base
            output.mux(packet)
    return path


def write_looped(path: Path, views: Sequence[np.ndarray], loops: int, *, fps: int = 30) -> Path:
    """The views as one closed group of pictures, coded once and listed `loops` times: a long clip made quickly."""
    height, width = views[0].shape[:2]
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "bf": "0"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = len(views)
        packets = []
        for i, view in enumerate(views):
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(view), format="rgb24")
            frame.pts = i
            packets += stream.encode(frame)
        packets += stream.encode(None)
        coded = [(bytes(packet), packet.is_keyframe) for packet in packets]
        output.start_encoding()
        base = stream.time_base or Fraction(1, fps)
        for i in range(loops * len(coded)):
            data, is_keyframe = coded[i % len(coded)]
            packet = av.Packet(data)
            packet.stream = stream
            packet.is_keyframe = is_keyframe
            packet.pts = packet.dts = round(i / fps / base)
            packet.time_base = base
            output.mux(packet)
    return path


def write_audio(path: Path, *, container_format: str | None = None) -> Path:
    """A second of sound, no pictures."""
    with av.open(str(path), "w", format=container_format) as output:
        stream = output.add_stream("aac", rate=44_100)
        assert isinstance(stream, av.AudioStream)
        samples = np.sin(np.arange(1024) * 0.05).astype(np.float32)[None]
        for i in range(43):
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44_100, 1024 * i
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def nothing(done: int, total: int, message: str) -> None:
    """A progress callback that does nothing."""
