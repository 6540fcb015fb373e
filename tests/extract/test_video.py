"""Video to frames, end to end."""

import errno
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tasks import errors
from tasks.extract.options import ExtractOptions
from tasks.extract.step import extract
from tests.extract.clips import motion_blurred, nothing, pan, wall, write_clip


def _likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.mean(np.abs(a.astype(float) - b.astype(float))))


def test_a_short_clip_keeps_every_frame(tmp_path: Path, run: Callable) -> None:
    views = pan(50)
    result = run(write_clip(tmp_path / "clip.mp4", views))
    assert result.record.frames_kept == result.record.frames_seen == 50
    assert result.record.ordered
    assert result.record.fps == pytest.approx(30, abs=1e-3)
    assert result.record.duration_s == pytest.approx(50 / 30, abs=1e-3)
    assert (result.record.width, result.record.height) == (320, 180)
    assert [path.name for path in result.files] == [f"frame_{i:06d}.jpg" for i in range(50)]
    assert max(_likeness(result.image(i), views[i]) for i in range(0, 50, 7)) < 6
    first = result.report["frames"][0]
    assert set(first) >= {"name", "time_s", "blur", "motion_since_kept", "why"}


@pytest.mark.parametrize("most", [1, 7, 40])
def test_a_long_clip_keeps_at_most_so_many(tmp_path: Path, run: Callable, most: int) -> None:
    result = run(write_clip(tmp_path / "clip.mp4", pan(200, 160, 96)), max_frames=most, min_frames=1)
    assert result.record.frames_kept == most
    indices = [frame["index"] for frame in result.report["frames"]]
    if most > 2:
        assert np.diff(indices).max() <= 2.5 * 200 / most


def test_sharp_frames_are_preferred(tmp_path: Path, run: Callable) -> None:
    views = [motion_blurred(v, 9) if i % 2 else v for i, v in enumerate(pan(240, 320, 180, step_px=2))]
    result = run(write_clip(tmp_path / "clip.mp4", views), max_frames=60)
    indices = np.array([frame["index"] for frame in result.report["frames"]])
    assert np.mean(indices % 2 == 0) > 0.9
    assert np.diff(indices).max() <= 8


def test_motion_is_even(tmp_path: Path, run: Callable) -> None:
    speed = np.where(np.arange(299) % 100 < 50, 0.5, 5.0)
    result = run(write_clip(tmp_path / "clip.mp4", pan(300, 320, 180, step_px=speed)), max_frames=60)
    indices = np.array([frame["index"] for frame in result.report["frames"]])
    assert np.sum(indices % 100 >= 50) > 1.5 * np.sum(indices % 100 < 50)


def test_repeated_frames_are_dropped(tmp_path: Path, run: Callable) -> None:
    views = [view for view in pan(12) for _ in range(4)]
    result = run(write_clip(tmp_path / "clip.mp4", views, gop=48))
    assert result.record.frames_seen == 48
    assert 12 <= result.record.frames_kept <= 16


def test_a_standing_camera_is_said(tmp_path: Path, refused: Callable) -> None:
    path = write_clip(tmp_path / "clip.mp4", pan(1) * 30, gop=100)
    assert refused(path, errors.NoParallax).slug == "no_parallax"


def test_too_few_frames(tmp_path: Path, refused: Callable) -> None:
    assert refused(write_clip(tmp_path / "clip.mp4", pan(2)), errors.TooFewFrames).slug == "too_few_frames"


def test_times_are_those_of_the_file(tmp_path: Path, run: Callable) -> None:
    times = [0.0, 0.03, 0.2, 0.21, 0.5, 1.0, 1.01]
    result = run(write_clip(tmp_path / "clip.mp4", pan(7), times=times))
    assert [frame["time_s"] for frame in result.report["frames"]] == pytest.approx(times, abs=1e-3)


@pytest.mark.parametrize("rotation_deg", [90, 180, -90])
def test_upright(tmp_path: Path, run: Callable, rotation_deg: int) -> None:
    views = pan(5)
    stored = [np.rot90(view, k=-rotation_deg // 90) for view in views]
    result = run(write_clip(tmp_path / "clip.mp4", stored, rotation_deg=rotation_deg))
    assert (result.record.width, result.record.height) == (320, 180)
    assert _likeness(result.image(), views[0]) < 6
    assert result.report["source"]["rotation_deg"] == -rotation_deg % 360


def test_mirrored(tmp_path: Path, run: Callable) -> None:
    views = pan(5)
    mirror = [-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30]
    result = run(write_clip(tmp_path / "clip.mp4", [view[:, ::-1] for view in views], matrix=mirror))
    assert _likeness(result.image(), views[0]) < 6
    assert result.report["source"]["mirrored"]


def test_large_frames_are_scaled_down_by_area(tmp_path: Path, run: Callable) -> None:
    views = pan(4, 640, 360)
    result = run(write_clip(tmp_path / "clip.mp4", views), max_side_px=160)
    assert result.image().shape == (90, 160, 3)
    expected = np.asarray(cv2.resize(views[0], (160, 90), interpolation=cv2.INTER_AREA))
    assert _likeness(result.image(), expected) < 4


def test_pixels_become_square(tmp_path: Path, run: Callable) -> None:
    result = run(write_clip(tmp_path / "clip.mp4", pan(4, 360, 288), aspect=Fraction(4, 3)))
    assert (result.record.width, result.record.height) == (360, 216)


def test_chroma_is_written_in_full(tmp_path: Path, run: Callable) -> None:
    from PIL import Image

    result = run(write_clip(tmp_path / "clip.mp4", pan(3)))
    with Image.open(result.files[0]) as image:
        assert all(component[1:3] == (1, 1) for component in image.layer)  # pyright: ignore[reportAttributeAccessIssue]


def test_odd_size_and_full_chroma(tmp_path: Path, run: Callable) -> None:
    views = pan(4, 161, 121)
    result = run(write_clip(tmp_path / "clip.mp4", views, pixel_format="yuv444p"))
    assert result.image().shape == (121, 161, 3)
    assert _likeness(result.image(), views[0]) < 6


@pytest.mark.parametrize(("suffix", "codec"), [("webm", "libvpx-vp9"), ("avi", "mjpeg"), ("mov", "prores_ks")])
def test_other_codecs(tmp_path: Path, run: Callable, suffix: str, codec: str) -> None:
    formats = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le"}
    views = pan(6)
    path = write_clip(tmp_path / f"clip.{suffix}", views, codec=codec, pixel_format=formats.get(codec, "yuv420p"))
    result = run(path)
    assert result.record.frames_kept == 6
    assert _likeness(result.image(), views[0]) < 20


def test_an_earlier_result_is_replaced_and_other_folders_are_not(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", pan(5))
    out = tmp_path / "out"
    extract(clip, out, ExtractOptions(), nothing)
    extract(clip, out, ExtractOptions(max_frames=3), nothing)
    assert len(list((out / "frames").iterdir())) == 3
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(errors.OutputUnwritable):
        extract(clip, other, ExtractOptions(), nothing)
    assert (other / "thesis.txt").exists()


def test_unwritable_output(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", pan(5))
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(errors.OutputUnwritable):
            extract(clip, out, ExtractOptions(), nothing)


def test_a_full_disk(tmp_path: Path, refused: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "clip.mp4", pan(20))
    opened = Path.open

    def full(self: Path, mode: str = "r", *args: Any, **named: Any) -> Any:
        if "w" in mode and self.name == "frame_000007.jpg":
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(self, mode, *args, **named)

    monkeypatch.setattr(Path, "open", full)
    assert refused(clip, errors.DiskFull).slug == "disk_full"


def test_stopping_leaves_nothing(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", pan(40))

    def stop(done: int, total: int, message: str) -> None:
        assert 0 <= done <= total
        if done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(clip, tmp_path / "out", ExtractOptions(), stop)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", pan(5))
    stale = tmp_path / ".out.partial" / "frames"
    stale.mkdir(parents=True)
    (stale / "frame_999999.jpg").write_bytes(b"half")
    extract(clip, tmp_path / "out", ExtractOptions(), nothing)
    assert len(list((tmp_path / "out" / "frames").iterdir())) == 5
    assert not stale.parent.exists()


def test_the_same_input_gives_the_same_output(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", pan(120, 160, 96))
    for name in ("a", "b"):
        extract(clip, tmp_path / name, ExtractOptions(max_frames=30), nothing)
    for path in sorted((tmp_path / "a").rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_bad_options_are_refused() -> None:
    for options in ({"max_frames": 0}, {"jpeg_quality": 101}, {"max_side_px": 2}, {"min_frames": 0}):
        with pytest.raises(errors.BadOption):
            ExtractOptions(**options)


def test_a_flat_clip_is_no_crash(tmp_path: Path, refused: Callable) -> None:
    refused(write_clip(tmp_path / "clip.mp4", [np.full((96, 160, 3), 90, np.uint8)] * 20), errors.CaptureError)


def test_two_views_of_different_texture(tmp_path: Path, run: Callable) -> None:
    views = [wall(180, 320, seed) for seed in range(8)]  # nothing overlaps: every frame is a cut
    assert run(write_clip(tmp_path / "clip.mp4", views)).record.frames_kept == 8
