"""A folder or a zip of photos to frames: upright, sRGB, in the order they were taken."""

import io
import re
import struct
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageCms

from tasks.errors import ArchiveTooLarge, FrameTooSmall, NoPhotos, TooFewFrames
from tasks.extract import exif
from tasks.extract.archive import open_archive
from tasks.extract.options import ExtractOptions
from tasks.extract.orient import Orientation
from tasks.extract.record import Progress
from tasks.extract.select import choose
from tasks.extract.sharpness import ANALYSIS_SIDE_PX, blur_score
from tasks.extract.size import fit
from tasks.extract.wording import counted
from tasks.extract.write import FRAMES, frame_name, write_jpeg

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_HEAD_BYTES = 16
_IN_FLIGHT = 2  # photos decoded at once; each may be a hundred megapixels
_DAMAGE = (OSError, ValueError, SyntaxError, RuntimeError, EOFError, struct.error)
_TURNS = {
    1: Orientation(),
    2: Orientation(flip_x=True),
    3: Orientation(flip_x=True, flip_y=True),
    4: Orientation(flip_y=True),
    5: Orientation(transpose=True),
    6: Orientation(transpose=True, flip_x=True),
    7: Orientation(transpose=True, flip_x=True, flip_y=True),
    8: Orientation(transpose=True, flip_y=True),
}


@dataclass(frozen=True, kw_only=True)
class _Source:
    """A place with files in it, on disk or in a zip."""

    label: str
    names: list[str]
    head: Callable[[str, int], bytes]
    read: Callable[[str], bytes]
    size: Callable[[str], int]


@dataclass(frozen=True, kw_only=True)
class _Photo:
    name: str
    width: int  # as stored, before orientation
    height: int
    tags: exif.PhotoTags


def extract_folder(source: Path, folder: Path, options: ExtractOptions, progress: Progress) -> dict[str, Any]:
    """Write the photos below `source` as frames; returns the report. Links are not followed.

    Raises: NoPhotos, ArchiveTooLarge, FrameTooSmall, TooFewFrames, DiskFull, OutputUnwritable.
    """
    names = []
    for path in sorted(source.rglob("*")):
        if path.is_file() and not path.is_symlink():
            names.append(path.relative_to(source).as_posix())
        if len(names) > options.max_archive_entries:
            raise ArchiveTooLarge(
                f"{source.name} holds more than {options.max_archive_entries:,} files; give a folder with the photos "
                "of one scene."
            )

    def head(name: str, count: int) -> bytes:
        with (source / name).open("rb") as file:
            return file.read(count)

    files = _Source(
        label=source.name or str(source),
        names=names,
        head=head,
        read=lambda name: (source / name).read_bytes(),
        size=lambda name: (source / name).stat().st_size,
    )
    return _extract(files, folder, options, progress)


def extract_archive(source: Path, folder: Path, options: ExtractOptions, progress: Progress) -> dict[str, Any]:
    """Write the photos in the zip `source` as frames; returns the report. Nothing else in it is unpacked.

    Raises: those of `extract_folder`, BadArchive, UnsafeArchive.
    """
    with open_archive(source, options) as archive:
        files = _Source(label=source.name, names=archive.names, head=archive.head, read=archive.read, size=archive.size)
        return _extract(files, folder, options, progress)


def _extract(source: _Source, folder: Path, options: ExtractOptions, progress: Progress) -> dict[str, Any]:
    notes: list[str] = []
    photos = _ordered(_find(source, options, progress, notes))
    if not photos:
        raise NoPhotos(f"{source.label} holds no JPEG, PNG or HEIC photo that can be read; give photos of one scene.")
    if len(photos) < options.min_frames:
        raise TooFewFrames(
            f"{source.label} holds {counted(len(photos), 'photo')}, and at least {options.min_frames} are needed; take some "
            "dozens while walking around the scene."
        )
    blurs = _judge(source, photos, options, progress) if len(photos) > options.max_frames else None
    order = np.arange(len(photos), dtype=np.float64)
    sharpness = 1 - np.array(blurs) if blurs is not None else np.ones(len(photos))
    kept = [int(i) for i in choose(order, order, sharpness, options.max_frames)]
    (folder / FRAMES).mkdir()
    frames, focal_px = [], {}
    written = _write_all(source, [(i, photos[i]) for i in kept], folder / FRAMES, options, progress)
    for index, (size, blur) in written.items():
        photo, name = photos[index], frame_name(index)
        frames.append(
            {
                "name": name,
                "index": index,
                "time_s": None,
                "source_name": photo.name,
                "taken": photo.tags.taken or None,
                "blur": round(blur, 4),
                "motion_since_kept": None,
                "width": size[0],
                "height": size[1],
                "why": "every photo is kept" if blurs is None else "sharp among its neighbours, at even steps",
            }
        )
        if photo.tags.focal_over_long_side is not None:
            focal_px[name] = round(photo.tags.focal_over_long_side * max(size), 3)
    lost = len(kept) - len(frames)
    if lost:
        notes.append(f"Left out: {counted(lost, 'damaged photo')}.")
    if len(frames) < options.min_frames:
        raise NoPhotos(
            f"Only {counted(len(frames), 'photo')} of {source.label} can be decoded; copy them from the camera again."
        )
    return {
        "kind": "photos",
        "ordered": False,
        "frames_seen": len(photos),
        "frames_kept": len(frames),
        "near_duplicates": 0,
        "fps": 0.0,
        "duration_s": 0.0,
        "width": frames[0]["width"],
        "height": frames[0]["height"],
        "source": {"name": source.label},
        "frames": frames,
        "focal_px": focal_px,
        "warnings": notes,
    }


def _find(source: _Source, options: ExtractOptions, progress: Progress, notes: list[str]) -> list[_Photo]:
    """The photos among the files, told by content and judged by their headers alone."""
    photos, others, damaged, small = [], 0, 0, 0
    names = [name for name in source.names if not _is_litter(name)]
    for done, name in enumerate(names):
        progress(done, len(names), "looking at the photos")
        if _format(source.head(name, _HEAD_BYTES)) is None:
            others += 1
            continue
        if source.size(name) > options.max_photo_bytes:
            raise ArchiveTooLarge(
                f"{name[:80]} has {source.size(name) / 1e6:,.0f} MB, over the limit of "
                f"{options.max_photo_bytes / 1e6:,.0f} MB for one photo; export it smaller."
            )
        try:
            with _open(source.read(name)) as image:
                if image.width * image.height > options.max_photo_pixels:
                    raise _too_many_pixels(name, options)  # before its tags: looking for them may decode a PNG
                photo = _Photo(name=name, width=image.width, height=image.height, tags=_tags(image))
        except Image.DecompressionBombError as error:
            raise _too_many_pixels(name, options) from error
        except _DAMAGE:
            damaged += 1
            continue
        if min(photo.width, photo.height) < options.min_side_px:
            small += 1
            continue
        photos.append(photo)
        if len(photos) > options.max_photos:
            raise ArchiveTooLarge(
                f"{source.label} holds more than {options.max_photos:,} photos; give the photos of one scene."
            )
    if small and not photos:
        raise FrameTooSmall(
            f"The photos in {source.label} are under {options.min_side_px} pixels on the short side; give the "
            "originals."
        )
    if others:
        notes.append(f"Left out: {counted(others, 'file')} of other kinds than JPEG, PNG and HEIC.")
    if damaged:
        notes.append(f"Left out: {counted(damaged, 'damaged photo')}.")
    if small:
        notes.append(f"Left out: {counted(small, 'photo')} under {options.min_side_px} pixels on the short side.")
    return photos


def _too_many_pixels(name: str, options: ExtractOptions) -> ArchiveTooLarge:
    return ArchiveTooLarge(
        f"{name[:80]} has more than {options.max_photo_pixels / 1e6:,.0f} megapixels, over the limit; export it "
        "smaller."
    )


def _is_litter(name: str) -> bool:
    """What operating systems leave beside photos."""
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or any(part.startswith(".") for part in parts)


def _format(head: bytes) -> str | None:
    """Pillow's name of the format that these first bytes announce; None if it is none of ours."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "HEIF"
    return None


def _open(data: bytes) -> Image.Image:
    """The photo with its header read; pixels come later. Only the decoder of its own format is tried."""
    kind = _format(data[:_HEAD_BYTES])
    if kind is None:
        raise ValueError("not a photo")
    if kind == "HEIF":
        import pi_heif  # only where there is a HEIC photo: it loads a decoder

        pi_heif.register_heif_opener()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about sizes (checked by us) and damaged EXIF (not needed)
        return Image.open(io.BytesIO(data), formats=(kind,))


def _tags(image: Image.Image) -> exif.PhotoTags:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return exif.read_tags(image)


def _ordered(photos: list[_Photo]) -> list[_Photo]:
    """By the time they were taken if all say so, else by name with numbers in order (img2 before img10)."""
    if all(photo.tags.taken for photo in photos):
        return sorted(photos, key=lambda photo: (photo.tags.taken, _natural(photo.name)))
    return sorted(photos, key=lambda photo: _natural(photo.name))


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts] + [(2, 0, name)]


def _judge(source: _Source, photos: list[_Photo], options: ExtractOptions, progress: Progress) -> list[float]:
    """Blur of each photo, at a small size; 1 where it can't be decoded."""
    blurs = []
    for done, photo in enumerate(photos):
        progress(done, len(photos), "judging the photos")
        try:
            image = _decode(source.read(photo.name), photo, ANALYSIS_SIDE_PX)
        except _DAMAGE:
            blurs.append(1.0)
            continue
        blurs.append(_blur(image))
    return blurs


def _write_all(
    source: _Source, chosen: list[tuple[int, _Photo]], folder: Path, options: ExtractOptions, progress: Progress
) -> dict[int, tuple[tuple[int, int], float]]:
    """Write the chosen photos, a few at a time; by index, the (width, height) written and the blur."""
    written: dict[int, tuple[tuple[int, int], float]] = {}
    pending: deque[tuple[int, Future]] = deque()

    def work(index: int, photo: _Photo, data: bytes) -> tuple[tuple[int, int], float] | None:
        try:
            image = _decode(data, photo, options.max_side_px)
        except _DAMAGE:
            return None
        write_jpeg(folder / frame_name(index), image, options.jpeg_quality)
        return (image.shape[1], image.shape[0]), _blur(image)

    def collect() -> None:
        index, future = pending.popleft()
        result = future.result()
        if result is not None:
            written[index] = result

    pool = ThreadPoolExecutor(_IN_FLIGHT, thread_name_prefix="extract-photos")
    try:
        for done, (index, photo) in enumerate(chosen):
            progress(done, len(chosen), "writing frames")
            if len(pending) >= _IN_FLIGHT:
                collect()
            pending.append((index, pool.submit(work, index, photo, source.read(photo.name))))
        while pending:
            collect()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    progress(len(chosen), len(chosen), "writing frames")
    return written


def _decode(data: bytes, photo: _Photo, max_side: int) -> np.ndarray:
    """(H, W, 3) uint8 sRGB, upright, long side at most `max_side`."""
    with _open(data) as image:
        width, height = fit(image.width, image.height, max_side)
        if image.format in ("JPEG", "MPO"):
            image.draft("RGB", (width, height))  # halves in the transform domain, never below the size asked for
        pixels = _rgb(image)
    if (pixels.shape[1], pixels.shape[0]) != (width, height):
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))
    return _TURNS[photo.tags.orientation].apply(pixels)


def _rgb(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 sRGB of any mode: 16-bit grey, palettes, transparency (on black) and colour profiles included."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):
        wide = np.asarray(image)
        grey = (wide >> 8 if wide.max(initial=0) > 255 else wide).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            image = converted if converted is not None else image
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a damaged profile: the numbers are taken as sRGB
    return np.asarray(image.convert("RGB"))


def _blur(image: np.ndarray) -> float:
    width, height = fit(image.shape[1], image.shape[0], ANALYSIS_SIDE_PX)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return blur_score(np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)))
