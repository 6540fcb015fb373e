"""Folders and zips of photos."""

import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

from tasks import errors
from tests.extract.clips import pan, wall, write_clip
from tests.extract.heic import write_heic


def _likeness(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean(np.abs(a.astype(float) - b.astype(float))))


def _save(path: Path, view: np.ndarray, *, tags: dict[int, Any] | None = None, **options: Any) -> Path:
    """Write a photo; tags 0x0112 in the main directory, all others in the EXIF directory."""
    exif = Image.Exif()
    for tag, value in (tags or {}).items():
        if tag == 0x0112:
            exif[tag] = value
        else:
            exif.get_ifd(0x8769)[tag] = value
    if path.suffix == ".jpg":
        options = {"quality": 95, "subsampling": 0, **options}
    Image.fromarray(view).save(path, exif=exif, **options)
    return path


def _folder(tmp_path: Path, count: int = 5, **tags: Any) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, view in enumerate(pan(count)):
        _save(folder / f"img{i + 1}.jpg", view, **tags)
    return folder


def _zip(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return path


def test_a_folder_in_natural_order(tmp_path: Path, run: Callable) -> None:
    result = run(_folder(tmp_path, 12))
    assert [f["source_name"] for f in result.report["frames"]] == [f"img{i}.jpg" for i in range(1, 13)]
    assert [path.name for path in result.files] == [f"frame_{i:06d}.jpg" for i in range(12)]
    assert not result.record.ordered
    assert result.report["focal_px"] == {}
    assert _likeness(result.image(3), pan(12)[3]) < 4


@pytest.mark.parametrize("suffix", ["zip", "mp4"])
def test_a_zip_is_known_by_content(tmp_path: Path, run: Callable, suffix: str) -> None:
    folder = _folder(tmp_path)
    (folder / "notes.txt").write_text("no photo", encoding="utf-8")
    (folder / ".DS_Store").write_bytes(b"litter")
    archive = _zip(tmp_path / f"photos.{suffix}", folder)
    result = run(archive)
    assert result.record.frames_kept == 5
    assert any("1 file " in warning for warning in result.record.warnings)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_upright_by_exif(tmp_path: Path, run: Callable, orientation: int, suffix: str) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    view = pan(1)[0]
    undo = {
        1: view,
        2: view[:, ::-1],
        3: view[::-1, ::-1],
        4: view[::-1],
        5: view.swapaxes(0, 1),
        6: np.rot90(view),  # "rotate by 90 degrees clockwise to view"
        7: np.rot90(view.swapaxes(0, 1), 2),
        8: np.rot90(view, -1),
    }
    stored = np.ascontiguousarray(undo[orientation])
    for i in range(3):
        _save(folder / f"{i}.{suffix}", stored, tags={0x0112: orientation})
    result = run(folder)
    assert _likeness(result.image(), view) < 4


def test_order_of_time_wins_over_names(tmp_path: Path, run: Callable) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, view in enumerate(pan(4)):
        tags = {0x9003: f"2024:05:01 12:00:0{9 - i // 2}", 0x9291: str(50 - i)}
        _save(folder / f"{i}.jpg", view, tags=tags)
    result = run(folder)
    assert [f["source_name"] for f in result.report["frames"]] == ["3.jpg", "2.jpg", "1.jpg", "0.jpg"]


def test_focal_length_of_the_35_mm_equivalent(tmp_path: Path, run: Callable) -> None:
    result = run(_folder(tmp_path, tags={0xA405: 26}), max_side_px=160)
    expected = 26 / math.hypot(36, 24) * math.hypot(160, 90)
    assert set(result.report["focal_px"]) == {path.name for path in result.files}
    assert result.report["focal_px"]["frame_000000.jpg"] == pytest.approx(expected, rel=1e-3)


def test_focal_length_of_the_sensor(tmp_path: Path, run: Callable) -> None:
    # 4.2 mm behind a sensor of 4.8 mm with 320 px: 66.7 px a millimetre.
    tags = {0x920A: IFDRational(42, 10), 0xA20E: IFDRational(3200, 48), 0xA210: 4}
    folder = _folder(tmp_path, tags=tags)
    assert run(folder).report["focal_px"]["frame_000000.jpg"] == pytest.approx(280, rel=1e-3)
    assert run(folder, max_side_px=160).report["focal_px"]["frame_000000.jpg"] == pytest.approx(140, rel=1e-3)


@pytest.mark.parametrize("tags", [{0xA405: 0}, {0xA405: 9999}, {0x920A: IFDRational(1, 0), 0xA20E: IFDRational(1, 0)}])
def test_nonsense_in_exif_is_ignored(tmp_path: Path, run: Callable, tags: dict) -> None:
    assert run(_folder(tmp_path, tags=tags)).report["focal_px"] == {}


def test_modes_become_srgb(tmp_path: Path, run: Callable) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    view = pan(1)[0]
    grey = Image.fromarray(view).convert("L")
    Image.fromarray(view).convert("RGBA").save(folder / "1.png")
    grey.save(folder / "2.png")
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(folder / "3.png")
    Image.fromarray(view).quantize(64).save(folder / "4.png")
    Image.fromarray(view).convert("CMYK").save(folder / "5.jpg", quality=95)
    result = run(folder)
    assert result.record.frames_kept == 5
    assert _likeness(result.image(0), view) < 3
    for i in (1, 2):
        assert _likeness(result.image(i)[..., 0], np.asarray(grey)) < 2


def test_colour_profiles_are_applied(tmp_path: Path, run: Callable) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for i in range(2):
        Image.fromarray(pan(1)[0]).save(folder / f"{i}.png", icc_profile=profile)
    Image.fromarray(pan(1)[0]).save(folder / "2.png", icc_profile=b"damaged")
    result = run(folder)
    for i in range(3):
        assert _likeness(result.image(i), pan(1)[0]) < 3


def test_more_photos_than_frames(tmp_path: Path, run: Callable) -> None:
    result = run(_folder(tmp_path, 20), max_frames=6)
    assert result.record.frames_kept == 6
    assert result.record.frames_seen == 20


def test_damaged_photos_are_left_out(tmp_path: Path, run: Callable) -> None:
    folder = _folder(tmp_path, 6)
    data = (folder / "img2.jpg").read_bytes()
    (folder / "img2.jpg").write_bytes(data[: len(data) // 2])
    (folder / "img3.jpg").write_bytes(b"\xff\xd8\xff" + bytes(100))
    result = run(folder)
    assert result.record.frames_kept == 4
    assert len(result.record.warnings) == 2


def test_no_photos(tmp_path: Path, refused: Callable) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    assert refused(folder, errors.NoPhotos).slug == "no_photos"
    (folder / "a.txt").write_text("no photo", encoding="utf-8")
    write_clip(folder / "clip.mp4", pan(3))
    refused(folder, errors.NoPhotos)
    refused(_zip(tmp_path / "photos.zip", folder), errors.NoPhotos)


def test_too_few_and_too_small(tmp_path: Path, refused: Callable) -> None:
    refused(_folder(tmp_path, 2), errors.TooFewFrames)
    small = tmp_path / "small"
    small.mkdir()
    for i in range(4):
        _save(small / f"{i}.jpg", wall(20, 20))
    refused(small, errors.FrameTooSmall)


def test_links_in_a_folder_are_not_followed(tmp_path: Path, run: Callable) -> None:
    folder = _folder(tmp_path, 4)
    _save(tmp_path / "secret.jpg", wall(180, 320))
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    assert run(folder).record.frames_kept == 4


class TestHostileZips:
    @pytest.mark.parametrize("name", ["../out.jpg", "/etc/out.jpg", "a/../../out.jpg", "..\\out.jpg", "C:\\out.jpg"])
    def test_paths_that_lead_out(self, tmp_path: Path, refused: Callable, name: str) -> None:
        path = _zip(tmp_path / "photos.zip", _folder(tmp_path))
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(zipfile.ZipInfo(name), b"x")
        assert refused(path, errors.UnsafeArchive).slug == "unsafe_archive"
        assert not (tmp_path / "out.jpg").exists()

    def test_links(self, tmp_path: Path, refused: Callable) -> None:
        path = _zip(tmp_path / "photos.zip", _folder(tmp_path))
        link = zipfile.ZipInfo("photo.jpg")
        link.external_attr = 0o120777 << 16
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(link, b"/etc/passwd")
        refused(path, errors.UnsafeArchive)

    def test_encrypted(self, tmp_path: Path, refused: Callable) -> None:
        path = _zip(tmp_path / "photos.zip", _folder(tmp_path))
        data = bytearray(path.read_bytes())
        at = data.index(b"PK\x01\x02")
        data[at + 8] |= 1
        path.write_bytes(data)
        assert refused(path, errors.BadArchive).slug == "bad_archive"

    def test_a_bomb_by_ratio(self, tmp_path: Path, refused: Callable) -> None:
        path = tmp_path / "bomb.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.jpg", bytes(50_000_000))
        assert refused(path, errors.ArchiveTooLarge).slug == "archive_too_large"

    def test_a_bomb_by_count(self, tmp_path: Path, refused: Callable) -> None:
        path = tmp_path / "bomb.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for i in range(300):
                archive.writestr(f"{i}.jpg", b"")
        refused(path, errors.ArchiveTooLarge, max_archive_entries=200)

    def test_a_bomb_by_sum(self, tmp_path: Path, refused: Callable) -> None:
        path = _zip(tmp_path / "photos.zip", _folder(tmp_path))
        refused(path, errors.ArchiveTooLarge, max_archive_bytes=10_000)
        refused(path, errors.ArchiveTooLarge, max_photo_bytes=1_000)

    def test_a_directory_that_claims_gigabytes(self, tmp_path: Path, refused: Callable) -> None:
        path = _zip(tmp_path / "photos.zip", _folder(tmp_path))
        data = bytearray(path.read_bytes())
        struct.pack_into("<I", data, data.rindex(b"PK\x05\x06") + 12, 0xFFFF_FFF0)
        path.write_bytes(data)
        refused(path, errors.ArchiveTooLarge)

    def test_an_entry_larger_than_it_says(self, tmp_path: Path, refused: Callable) -> None:
        path = _zip(tmp_path / "photos.zip", _folder(tmp_path))
        data = bytearray(path.read_bytes())
        at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
        struct.pack_into("<I", data, at + 24, 100)
        path.write_bytes(data)
        refused(path, errors.PhotoError)

    def test_a_picture_with_too_many_pixels(self, tmp_path: Path, refused: Callable) -> None:
        def chunk(kind: bytes, body: bytes) -> bytes:
            return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

        header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
        folder = _folder(tmp_path)
        (folder / "bomb.png").write_bytes(bomb)
        refused(folder, errors.ArchiveTooLarge)
        smaller = struct.pack(">IIBBBBB", 12_000, 12_000, 8, 2, 0, 0, 0)
        (folder / "bomb.png").write_bytes(bomb.replace(header, smaller).replace(chunk(b"IHDR", header)[-4:], b""))
        (folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", smaller) + chunk(b"IDAT", b""))
        refused(folder, errors.ArchiveTooLarge)

    @pytest.mark.parametrize("share", [0.3, 0.99])
    def test_cut_off(self, tmp_path: Path, refused: Callable, share: float) -> None:
        path = _zip(tmp_path / "photos.zip", _folder(tmp_path))
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        refused(path, errors.BadArchive)

    def test_a_text_named_zip(self, tmp_path: Path, refused: Callable) -> None:
        path = tmp_path / "photos.zip"
        path.write_text("no zip at all", encoding="utf-8")
        refused(path, errors.BadArchive)

    def test_flipped_bytes(self, tmp_path: Path, refused: Callable) -> None:
        path = _zip(tmp_path / "photos.zip", _folder(tmp_path))
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 64] = bytes(64)
        path.write_bytes(data)
        refused(path, errors.BadArchive)


@pytest.mark.shared
@pytest.mark.parametrize("quarter_turns", [0, 1])
def test_heic(tmp_path: Path, run: Callable, shared_data: Path, quarter_turns: int) -> None:
    video = shared_data / "traits" / "dashcam_hevc_portrait_vfr_audio.mp4"
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        width, height = write_heic(folder / f"{i}.HEIC", video, quarter_turns=quarter_turns)
    result = run(folder, max_side_px=2000)
    with av.open(str(video)) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    upright = np.rot90(frame, quarter_turns)
    size = (height, width) if quarter_turns else (width, height)
    assert (result.record.width, result.record.height) == size
    assert _likeness(result.image(), upright) < 6
