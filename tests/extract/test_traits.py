"""Odd real files: each decodes to upright frames in the right colours, or is refused with its slug in seconds."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks import errors

pytestmark = pytest.mark.shared

# name: (frames seen, fewest frames kept, width, height, turn, transfer)
DECODED = {
    "android_4k60_rot-90_audio_18f.mp4": (18, 18, 900, 1600, 90, "sdr"),
    "android_hevc10_hlg_rot-90_editlist.mp4": (77, 77, 900, 1600, 90, "hlg"),
    "broken_audio_track.mp4": (280, 150, 640, 360, 0, "sdr"),
    "dashcam_hevc_portrait_vfr_audio.mp4": (146, 146, 1197, 1600, 0, "sdr"),
    "fragmented_30f.mp4": (30, 5, 1080, 720, 0, "sdr"),  # a camera on a stand: most frames repeat
    "hevc10_pq_vfr_28f.mp4": (28, 28, 1600, 900, 0, "pq"),
    "phone_rot180_vfr_10fps_audio.mp4": (25, 25, 1280, 720, 180, "sdr"),
    "vp9_odd_dimensions.webm": (30, 30, 161, 121, 0, "sdr"),
}
REFUSED = {"audio_only.mp4": errors.NoVideoTrack, "one_pixel_1x1.mp4": errors.FrameTooSmall}


@pytest.mark.parametrize("name", sorted(DECODED))
def test_decodes(shared_data: Path, run: Callable, name: str) -> None:
    seen, kept, width, height, turn, transfer = DECODED[name]
    result = run(shared_data / "traits" / name)
    assert result.record.frames_seen == seen
    assert result.record.frames_kept >= kept
    assert (result.record.width, result.record.height) == (width, height)
    assert result.image().shape == (height, width, 3)
    assert result.report["source"]["rotation_deg"] == turn
    assert result.report["source"]["transfer"] == transfer
    times = [frame["time_s"] for frame in result.report["frames"]]
    assert times == sorted(set(times))
    if transfer != "sdr":
        image = result.image()
        assert (image.min(axis=2) == 255).mean() < 0.01  # bright clouds, not blown out
        assert 100 < image.mean() < 180
        assert image.std() > 45
    if name.startswith("dashcam"):
        assert any("run backwards" in warning for warning in result.record.warnings)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_is_refused(shared_data: Path, refused: Callable, name: str) -> None:
    start = time.monotonic()
    refused(shared_data / "traits" / name, REFUSED[name])
    assert time.monotonic() - start < 10


def test_all_files_are_covered(shared_data: Path) -> None:
    assert {path.name for path in (shared_data / "traits").iterdir()} >= {*DECODED, *REFUSED}


@pytest.mark.parametrize(("name", "frames"), [("fox", 50), ("stone_sign", 83), ("banana", 16)])
def test_short_captures_keep_every_frame(shared_data: Path, run: Callable, name: str, frames: int) -> None:
    result = run(shared_data / name / "video.mp4")
    assert result.record.frames_kept == frames
    assert result.record.warnings == ()


def test_a_longer_capture_is_thinned(shared_data: Path, run: Callable) -> None:
    result = run(shared_data / "gopro_max_walk" / "video.mp4")
    assert result.record.frames_seen == 315
    assert result.record.frames_kept == 150
    motion = [frame["motion_since_kept"] for frame in result.report["frames"]]
    assert max(motion) < 0.05
