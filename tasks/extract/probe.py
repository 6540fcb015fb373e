"""Open a video safely and refuse what can't or mustn't be decoded, from its headers alone."""

from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from tasks.errors import (
    FrameTooLarge,
    FrameTooSmall,
    NoFrames,
    NotAVideo,
    NoVideoTrack,
    TruncatedVideo,
    UnsupportedCodec,
    VideoTooLong,
)
from tasks.extract import isobmff
from tasks.extract.options import ExtractOptions

# Text formats (concat, HLS, SDP, image sequences) open other files; none of these containers does.
_SAFE_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi",
    "enable_drefs": "0",
}
_CODECS = frozenset(
    {
        *("h264", "hevc", "vvc", "vp8", "vp9", "av1", "libdav1d", "mpeg4", "msmpeg4v3", "mjpeg"),
        *("prores", "dnxhd", "cfhd", "mpeg1video", "mpeg2video", "h263", "ffv1"),
    }
)
_KEPT_WITH_WARNING = 0.5  # a file cut short goes on if at least this share of its frames is there
_BYTES_PER_PIXEL = 1.5  # 4:2:0 at 8 bits, what nearly every clip decodes to


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What the headers say about a video that passed all checks."""

    path: Path
    container: str
    codec: str
    stream_index: int
    width: int  # as coded, before rotation
    height: int
    pixel_aspect: float  # width : height of one pixel
    frames: int  # packets that lead to a frame; what progress counts against
    duration_s: float
    warnings: tuple[str, ...]


def open_video(path: Path) -> InputContainer:
    """Open `path` with the protocols and formats pinned. The path is absolute, so it is never read as a URL.

    Raises: NotAVideo.
    """
    options = dict(_SAFE_OPTIONS)
    try:
        return av.open(str(path.absolute()), mode="r", options=options, metadata_errors="replace")
    except (FFmpegError, ValueError) as error:
        raise NotAVideo(
            f"{path.name} is not a video that can be read; give an MP4, MOV, MKV, WebM or AVI file."
        ) from error


def video_stream(container: InputContainer) -> VideoStream | None:
    """The main video track: not cover art, the default one first, then the largest."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]

    def rank(stream: VideoStream) -> tuple[bool, int]:
        context = stream.codec_context
        pixels = context.width * context.height if context is not None else 0
        return bool(stream.disposition & Disposition.default), pixels

    return max(streams, key=rank, default=None)


def probe(path: Path, options: ExtractOptions) -> Probe:
    """Check the headers of `path` against `options`. Decodes nothing.

    Raises: NotAVideo, NoVideoTrack, NoFrames, FrameTooSmall, FrameTooLarge, VideoTooLong, TruncatedVideo,
    UnsupportedCodec.
    """
    boxes = _check_signature(path, options)
    with open_video(path) as container:
        stream = video_stream(container)
        if stream is None:
            raise NoVideoTrack(f"{path.name} has no video track; give a file with pictures, not only sound.")
        context = stream.codec_context
        if context is None or context.name not in _CODECS:
            name = context.name if context is not None else "unknown"
            raise UnsupportedCodec(
                f"The video in {path.name} is coded as {name}, which can't be decoded here; convert it to H.264 first."
            )
        width, height = context.width, context.height
        check_size(path.name, width, height, options)
        listed = _listed_frames(stream)
        check_length(path.name, width, height, max(listed, stream.frames), 0.0, options)
        frames, seconds, warnings = _count_frames(path, container, stream, listed, boxes, options)
        if frames == 0:
            raise NoFrames(f"{path.name} has a video track without a single frame; record or export it again.")
        declared = _declared_seconds(container, stream)
        check_length(path.name, width, height, frames, max(seconds, declared), options)
        return Probe(
            path=path,
            container=container.format.name.split(",")[0],
            codec=context.name,
            stream_index=stream.index,
            width=width,
            height=height,
            pixel_aspect=_pixel_aspect(stream),
            frames=frames,
            duration_s=seconds or declared,
            warnings=warnings,
        )


def check_size(name: str, width: int, height: int, options: ExtractOptions) -> None:
    """Raises FrameTooSmall or FrameTooLarge for a frame of this size."""
    if width * height > options.max_pixels_per_frame:
        raise FrameTooLarge(
            f"The frames of {name} are {width}x{height}, over the limit of {options.max_pixels_per_frame / 1e6:.0f} "
            "megapixels; scale the video down, 4K at most is best."
        )
    if min(width, height) < options.min_side_px:
        raise FrameTooSmall(
            f"The frames of {name} are {width}x{height}; at least {options.min_side_px} pixels on the short side are "
            "needed, so give the original recording."
        )


def check_length(name: str, width: int, height: int, frames: int, seconds: float, options: ExtractOptions) -> None:
    """Raises VideoTooLong for this many frames, seconds or decoded bytes."""
    advice = "cut it to the part that shows the scene, a few minutes at most."
    if frames > options.max_frames_in_video:
        raise VideoTooLong(f"{name} has {frames:,} frames, over the limit of {options.max_frames_in_video:,}; {advice}")
    if seconds > options.max_duration_s:
        raise VideoTooLong(
            f"{name} lasts {seconds:,.0f} s, over the limit of {options.max_duration_s:,.0f} s; {advice}"
        )
    decoded = frames * width * height * _BYTES_PER_PIXEL
    if decoded > options.max_decoded_bytes:
        raise VideoTooLong(
            f"{name} holds {decoded / 1e9:,.0f} GB of pictures when decoded, over the limit of "
            f"{options.max_decoded_bytes / 1e9:,.0f} GB; {advice}"
        )


def _check_signature(path: Path, options: ExtractOptions) -> isobmff.Boxes | None:
    """What the first bytes and the boxes say, before FFmpeg sees the file."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise NotAVideo(f"{path.name} is empty; give a video file.")
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM")) or head[8:12] == b"WEBP":
        raise NotAVideo(f"{path.name} is a single picture; give a video, or a folder or zip of photos.")
    boxes = isobmff.scan(path)
    if boxes is None:
        return None
    if boxes.brand in isobmff.STILL_BRANDS:
        raise NotAVideo(f"{path.name} is a single photo; give a video, or a folder or zip of photos.")
    if boxes.compressed_index:
        raise NotAVideo(f"{path.name} has a compressed index, which is not read here; export it as an ordinary MP4.")
    if not boxes.has_index:
        if boxes.brand or boxes.cut_short:
            raise TruncatedVideo(
                f"{path.name} was cut off before its index was written; copy it from the camera again or repair it."
            )
        return boxes
    if boxes.samples > 100 * options.max_frames_in_video:  # sound has more samples than the pictures have frames
        raise VideoTooLong(
            f"{path.name} claims {boxes.samples:,} samples in one track, which no ordinary clip has; export it again."
        )
    return boxes


def _pixel_aspect(stream: VideoStream) -> float:
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if 0.25 <= aspect <= 4 else 1.0  # beyond that it's a damaged header


def _listed_frames(stream: VideoStream) -> int:
    return len(stream.index_entries)


def _declared_seconds(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration and stream.time_base and stream.duration > 0:
        return float(stream.duration * stream.time_base)
    return max(0.0, (container.duration or 0) / av.time_base)


def _count_frames(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    listed: int,
    boxes: isobmff.Boxes | None,
    options: ExtractOptions,
) -> tuple[int, float, tuple[str, ...]]:
    """(frames in the file, seconds they span, warnings), from the index if it is whole, else by reading the packets."""
    if boxes is not None and not boxes.fragmented:
        end = path.stat().st_size
        entries = [e for e in stream.index_entries if not e.is_discard]
        present = sum(e.pos + e.size <= end for e in entries)
        seconds = _declared_seconds(container, stream)
        return present, seconds, _check_share(path.name, present, len(entries))
    return _read_packets(path.name, container, stream, listed, options)


def _read_packets(
    name: str,
    container: InputContainer,
    stream: VideoStream,
    listed: int,
    options: ExtractOptions,
) -> tuple[int, float, tuple[str, ...]]:
    frames, empty, first, last = 0, 0, None, None
    try:
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:
                empty += packet.pts is not None  # AVI repeats a frame by an empty one; the last of all has no time
                continue
            frames += 1
            if packet.pts is not None and packet.time_base is not None:
                time = float(packet.pts * packet.time_base)
                first = time if first is None else min(first, time)
                last = time if last is None else max(last, time)
            if frames > options.max_frames_in_video:
                raise VideoTooLong(
                    f"{name} has more than {options.max_frames_in_video:,} frames; cut it to the part that shows the "
                    "scene."
                )
    except FFmpegError:
        pass  # what could be read counts; the checks below and the decoder decide whether it is enough
    seconds = (last - first) if first is not None and last is not None else 0.0
    declared = _declared_seconds(container, stream)
    share = 1.0
    if declared > 0 and last is not None and last > 0:
        share = min(share, (seconds + seconds / max(1, frames - 1)) / declared)
    expected = max(listed, stream.frames)
    if container.format.name == "avi" and expected:
        share = min(share, (frames + empty) / expected)
    return frames, seconds, _check_share(name, round(1000 * share), 1000) if frames else ()


def _check_share(name: str, present: int, expected: int) -> tuple[str, ...]:
    """A warning if part of the file is missing; raises TruncatedVideo if it is the larger part."""
    share = present / expected if expected else 1.0
    if share < _KEPT_WITH_WARNING:
        raise TruncatedVideo(
            f"{name} ends early: only {share:.0%} of its frames are there; copy it from the camera again."
        )
    if share < 0.97:
        return (f"The file ends early: {share:.0%} of its frames are there, and the scene is made from those.",)
    return ()
