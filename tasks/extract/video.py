"""Video to frames, in one pass over the decoder and in memory that doesn't grow with the clip.

Decoding is what costs, so it happens once: every frame is judged (sharpness, motion) at a small size, the sharpest of
each few is written as a candidate, and when the whole path is known the best of the candidates stay.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, Interpolation, VideoReformatter

from tasks.errors import NoFrames, NoParallax, TooFewFrames, TruncatedVideo, UnsupportedCodec
from tasks.extract import color, decode, motion, orient, sharpness
from tasks.extract.options import ExtractOptions
from tasks.extract.probe import Probe, probe
from tasks.extract.record import Progress
from tasks.extract.select import choose
from tasks.extract.size import fit, square_pixels
from tasks.extract.wording import counted
from tasks.extract.write import FRAMES, frame_name, write_jpeg

_CANDIDATES_PER_FRAME = 2  # of all frames, at most about so many times `max_frames` are written for a while
_IN_FLIGHT = 3  # frames waiting to be written; each is a decoded picture in memory


@dataclass
class _Candidate:
    index: int
    time_s: float
    blur: float
    position: float
    of: int = 1  # frames it was the sharpest of


@dataclass
class _Window:
    """The sharpest frame of a few neighbours."""

    best: _Candidate | None = None
    frame: VideoFrame | None = None
    new: int = 0  # different frames seen
    seen: int = 0

    def offer(self, candidate: _Candidate, frame: VideoFrame, *, new: bool) -> None:
        self.new += new
        self.seen += 1
        if self.best is None or candidate.blur < self.best.blur:
            self.best, self.frame = candidate, frame
        self.best.of = self.seen


@dataclass
class _Pass:
    candidates: list[_Candidate] = field(default_factory=list)
    duplicates: int = 0
    last_time_s: float = 0.0


def extract_video(source: Path, folder: Path, options: ExtractOptions, progress: Progress) -> dict[str, Any]:
    """Write the chosen frames of `source` into `folder/frames`; returns the report that becomes `extract.json`.

    Raises: the errors of `probe` and `decode.frames`, NoParallax, TooFewFrames, DiskFull, OutputUnwritable.
    """
    progress(0, 1, "looking at the video")
    clip = probe(source, options)
    counts = decode.DecodeCounts()
    (folder / FRAMES).mkdir()
    writer = _Writer(folder / FRAMES, options, clip.pixel_aspect)
    try:
        seen = _watch(clip, options, progress, counts, writer)
        writer.finish()
    except FFmpegError as error:  # of the conversion: the decoder's own are counted where they happen
        raise UnsupportedCodec(
            f"The pictures of {source.name} are coded in a way that can't be converted here; convert it to H.264 first."
        ) from error
    finally:
        writer.close()
    warnings = [*clip.warnings, *_check(clip, counts, seen, options)]
    candidates = seen.candidates
    kept = choose(
        np.array([c.position for c in candidates]),
        np.array([c.time_s for c in candidates]),
        np.array([1 - c.blur for c in candidates]),
        options.max_frames,
    )
    kept_candidates = [candidates[i] for i in kept]
    _remove_others(folder / FRAMES, candidates, kept_candidates)
    every = len(kept) == len(candidates)
    fps = (counts.decoded - 1) / seen.last_time_s if counts.decoded > 1 and seen.last_time_s > 0 else 0.0
    frames, last = [], None
    for candidate in kept_candidates:
        frames.append(
            {
                "name": frame_name(candidate.index),
                "index": candidate.index,
                "time_s": round(candidate.time_s, 6),
                "blur": round(candidate.blur, 4),
                "motion_since_kept": round(candidate.position - last.position, 5) if last else 0.0,
                "why": _why(candidate, every=every),
            }
        )
        last = candidate
    return {
        "kind": "video",
        "ordered": True,
        "frames_seen": counts.decoded,
        "frames_kept": len(frames),
        "near_duplicates": seen.duplicates,
        "candidates": len(candidates),
        "damaged_packets": counts.damaged,
        "fps": round(fps, 4),
        "duration_s": round(seen.last_time_s + (1 / fps if fps else 0.0), 4),
        "width": writer.size[0],
        "height": writer.size[1],
        "source": {"name": source.name, "container": clip.container, "codec": clip.codec, **writer.describe()},
        "frames": frames,
        "focal_px": {},
        "warnings": warnings,
    }


def _watch(
    clip: Probe, options: ExtractOptions, progress: Progress, counts: decode.DecodeCounts, writer: "_Writer"
) -> _Pass:
    """Decode and judge every frame; hand the sharpest of each window to the writer."""
    stride = max(1, round(clip.frames / (_CANDIDATES_PER_FRAME * options.max_frames)))
    tracker, reformatter = motion.MotionTracker(), VideoReformatter()
    window, seen = _Window(), _Pass()

    def close_window() -> None:
        if window.best is not None and window.frame is not None:
            seen.candidates.append(window.best)
            writer.put(window.best.index, window.frame)

    for index, time_s, frame in decode.frames(clip, options, counts):
        grey = _grey(frame, sharpness.ANALYSIS_SIDE_PX, reformatter)
        width, height = fit(grey.shape[1], grey.shape[0], motion.TRACKING_SIDE_PX)
        step = tracker.advance(np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)))
        if step.new and window.new >= stride:
            close_window()
            window = _Window()
        seen.duplicates += not step.new
        seen.last_time_s = time_s
        candidate = _Candidate(index=index, time_s=time_s, blur=sharpness.blur_score(grey), position=step.position)
        window.offer(candidate, frame, new=step.new)
        progress(min(index + 1, clip.frames), clip.frames, "choosing frames")
    close_window()
    return seen


def _grey(frame: VideoFrame, side: int, reformatter: VideoReformatter) -> np.ndarray:
    """(H, W) uint8 at no more than `side` on the long side."""
    width, height = fit(frame.width, frame.height, side)
    return reformatter.reformat(frame, width, height, "gray", interpolation=int(Interpolation.AREA)).to_ndarray()


class _Writer:
    """Converts and writes frames in one thread behind the decoder; at most `_IN_FLIGHT` wait."""

    def __init__(self, folder: Path, options: ExtractOptions, pixel_aspect: float) -> None:
        self._folder = folder
        self._pixel_aspect = pixel_aspect
        self._options = options
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="extract-writer")
        self._pending: list[Future[None]] = []
        self._convert: color.SrgbConverter | None = None
        self._orientation = orient.Orientation()
        self._source: dict[str, Any] = {}
        self.size = (0, 0)

    def put(self, index: int, frame: VideoFrame) -> None:
        if self._convert is None:
            self._convert = self._prepare(frame)
        while len(self._pending) >= _IN_FLIGHT:
            self._pending.pop(0).result()
        self._pending.append(self._pool.submit(self._write, index, frame, self._convert))

    def finish(self) -> None:
        while self._pending:
            self._pending.pop(0).result()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def describe(self) -> dict[str, Any]:
        """Of the source: size, orientation, colours."""
        return self._source

    def _write(self, index: int, frame: VideoFrame, convert: color.SrgbConverter) -> None:
        image = self._orientation.apply(convert(frame))
        write_jpeg(self._folder / frame_name(index), image, self._options.jpeg_quality)

    def _prepare(self, frame: VideoFrame) -> color.SrgbConverter:
        """The first frame decides size, orientation and colours for all."""
        tags = color.read_tags(frame)
        self._orientation = orient.of_frame(frame)
        aspect = self._pixel_aspect
        width, height = fit(*square_pixels(frame.width, frame.height, aspect), self._options.max_side_px)
        self.size = self._orientation.size(width, height)
        self._source = {
            "width": frame.width,
            "height": frame.height,
            "rotation_deg": self._orientation.rotation_deg,
            "mirrored": self._orientation.mirrored,
            "pixel_aspect": aspect,
            "pixel_format": frame.format.name,
            "transfer": tags.transfer,
            "primaries": _primaries_name(tags.primaries),
            "matrix_assumed": tags.assumed,
            "full_range": tags.full_range,
            "peak_nits": tags.peak_nits if tags.transfer != "sdr" else None,
        }
        return color.SrgbConverter(tags, width, height)


def _primaries_name(value: int) -> str:
    return next((p.name for p in ColorPrimaries if p.value == value), "UNSPECIFIED")


def _check(clip: Probe, counts: decode.DecodeCounts, seen: _Pass, options: ExtractOptions) -> list[str]:
    """Sentences about what was odd; raises if too little is left to make a scene of."""
    name = clip.path.name
    if counts.decoded == 0:
        raise NoFrames(f"No frame of {name} can be decoded; record or export it again.")
    share = counts.decoded / clip.frames
    if share < 0.5:
        raise TruncatedVideo(
            f"Only {counts.decoded} of {clip.frames} frames of {name} can be decoded; copy it from the camera again."
        )
    different = len(seen.candidates)
    if different < options.min_frames <= counts.decoded:
        raise NoParallax(
            f"The camera stands still in {name}: its {counts.decoded} frames show the same view; walk around the scene "
            "while filming."
        )
    if different < options.min_frames:
        raise TooFewFrames(
            f"{name} has {counted(counts.decoded, 'frame')}, and at least {options.min_frames} different ones are needed; film "
            "for some seconds while walking around the scene."
        )
    warnings = []
    if share < 0.97:
        warnings.append(f"Only {counts.decoded} of {clip.frames} frames could be decoded; the file is damaged.")
    elif counts.damaged:
        warnings.append(f"The file is damaged in {counted(counts.damaged, 'place')}; the frames there may show errors.")
    if counts.backward:
        warnings.append(
            f"Timestamps run backwards in {counted(counts.backward, 'place')}; the frames are taken in the order of the "
            "file."
        )
    if counts.resized:
        warnings.append(f"Left out: {counted(counts.resized, 'frame')} of another size than the first.")
    if counts.interlaced > counts.decoded // 2:
        warnings.append("The video is interlaced, which blurs moving edges; record progressively if you can.")
    moved = seen.candidates[-1].position
    if moved < 0.05:
        warnings.append(
            f"The picture moves by only {moved:.1%} of its size in the whole clip; a scene needs a camera that walks."
        )
    if seen.duplicates > counts.decoded // 2:
        warnings.append(
            f"{seen.duplicates} of {counts.decoded} frames repeat the one before: the camera stands still for long."
        )
    return warnings


def _why(candidate: _Candidate, *, every: bool) -> str:
    if every and candidate.of == 1:
        return "short clip: every different frame is kept"
    if candidate.of > 1:
        return f"sharpest of {candidate.of} neighbours" + ("" if every else ", one even step of motion from the last")
    return "one even step of motion from the last, and sharp among its neighbours"


def _remove_others(folder: Path, candidates: list[_Candidate], kept: list[_Candidate]) -> None:
    keep = {c.index for c in kept}
    for candidate in candidates:
        if candidate.index not in keep:
            (folder / frame_name(candidate.index)).unlink()
