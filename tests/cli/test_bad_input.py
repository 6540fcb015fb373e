"""Every kind of bad input through the real command: a sentence, a stable slug, exit code 2, and nothing left behind."""

import os
import re
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli import demo
from tests.cli.conftest import Command, tree
from tests.extract import clips

ERROR = re.compile(r"^error \[([a-z0-9_]+)\]: (.+)$", re.MULTILINE)


def _text(path: Path) -> Path:
    path.write_text("This is not a video.\n" * 40)
    return path


def _noise(path: Path) -> Path:
    path.write_bytes(np.random.default_rng(0).bytes(50_000))
    return path


def _empty(path: Path) -> Path:
    path.touch()
    return path


def _missing(path: Path) -> Path:
    return path


def _folder_without_photos(path: Path) -> Path:
    folder = path.with_suffix("")
    folder.mkdir()
    (folder / "notes.txt").write_text("none here")
    return folder


def _one_pixel(path: Path) -> Path:
    return clips.write_clip(path, [np.full((2, 2, 3), i * 20, np.uint8) for i in range(8)], codec="mpeg4")


def _truncated(path: Path) -> Path:
    whole = clips.write_clip(path.with_suffix(".whole.mp4"), clips.pan(20)).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def _concat(path: Path) -> Path:
    secret = clips.write_clip(path.with_name("secret.mp4"), clips.pan(12))
    path.write_text(f"ffconcat version 1.0\nfile '{secret.name}'\n")
    return path


def _playlist(path: Path) -> Path:
    secret = clips.write_clip(path.with_name("secret.mp4"), clips.pan(12))
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret.name}\n#EXT-X-ENDLIST\n")
    return path


def _huge_frames(path: Path) -> Path:
    return clips.write_clip(path, [np.zeros((4320, 7680, 3), np.uint8)] * 2, codec="mpeg4")


def _endless(path: Path) -> Path:
    return clips.write_repeated(path, np.full((64, 64, 3), 128, np.uint8), 200_000, codec="mpeg4")


def _hostile_zip(path: Path) -> Path:
    path = path.with_suffix(".zip")
    Image.fromarray(clips.pan(1)[0]).save(path.with_name("photo.jpg"))
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a.jpg", "b.jpg", "../../escaped.jpg"):
            archive.write(path.with_name("photo.jpg"), name)
    return path


def _zip_bomb(path: Path) -> Path:
    path = path.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(300_000_000))
    return path


def _too_few(path: Path) -> Path:
    return clips.write_clip(path, clips.pan(1) * 2)


Made = Callable[[Path], Path]
UNREADABLE: list[tuple[Made, set[str]]] = [
    (_text, {"not_a_video"}),
    (_noise, {"not_a_video"}),
    (_empty, {"not_a_video"}),
    (_missing, {"not_a_video"}),
    (_folder_without_photos, {"no_photos"}),
    (clips.write_audio, {"no_video_track"}),
    (_one_pixel, {"frame_too_small"}),
    (_truncated, {"truncated_video"}),
    (_concat, {"not_a_video"}),
    (_playlist, {"not_a_video"}),
    (_huge_frames, {"frame_too_large"}),
    (_endless, {"video_too_long"}),
    (_hostile_zip, {"unsafe_archive"}),
    (_zip_bomb, {"archive_too_large"}),
    (_too_few, {"too_few_frames"}),
]


def refused(done: "subprocess.CompletedProcess[str]") -> str:
    """Checks the form of a refusal and returns its slug."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    found = ERROR.findall(done.stderr)
    assert len(found) == 1, done.stderr
    slug, sentence = found[0]
    assert len(sentence.split()) > 4
    return slug


@pytest.mark.parametrize(("make", "slugs"), UNREADABLE, ids=[make.__name__.strip("_") for make, _ in UNREADABLE])
def test_unreadable(splatflow: Command, tmp_path: Path, make: Made, slugs: set[str]) -> None:
    source = make(tmp_path / "clip.mp4")
    before = tree(tmp_path)
    done = splatflow.run("run", source, "--out", tmp_path / "new" / "out", timeout=60)
    assert refused(done) in slugs
    assert tree(tmp_path) == before


def test_a_video_without_frames(splatflow: Command, tmp_path: Path) -> None:
    whole = clips.write_clip(tmp_path / "whole.mp4", clips.pan(12)).read_bytes()
    clip = tmp_path / "clip.mp4"
    start = whole.index(b"mdat") + 4
    size = int.from_bytes(whole[start - 8 : start - 4], "big") - 8
    clip.write_bytes(whole[:start] + bytes(size) + whole[start + size :])  # an index of frames that aren't there
    done = splatflow.run("run", clip, "--out", tmp_path / "out", timeout=60)
    assert refused(done) in {"no_frames", "truncated_video"}
    assert not (tmp_path / "out").exists()


def test_an_earlier_result_is_untouched(splatflow: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "images").mkdir(parents=True)
    (out / "report.json").write_text("{}")
    (out / "images" / "0001.jpg").write_text("picture")
    before = tree(tmp_path)
    assert refused(splatflow.run("run", _noise(tmp_path.parent / "noise.mp4"), "--out", out)) == "not_a_video"
    assert tree(tmp_path) == before


def _no_parallax(path: Path) -> Path:
    """The demo scene from one spot: the camera only turns."""
    scene, cameras = demo.demo_scene(coarseness=2.0), demo.demo_cameras(16, width=480, height=270)
    eye = -cameras.viewmats[8, :3, :3].T @ cameras.viewmats[8, :3, 3]
    for i, angle in enumerate(np.radians(np.linspace(-16, 16, 16))):
        turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        rotation = turn @ cameras.viewmats[8, :3, :3]
        cameras.viewmats[i, :3, :3], cameras.viewmats[i, :3, 3] = rotation, -rotation @ eye
    return clips.write_clip(path, [demo.render(scene, cameras, i) for i in range(16)], fps=8)


def _no_overlap(path: Path) -> Path:
    """Views that have nothing in common."""
    return clips.write_clip(path, [clips.wall(270, 480, seed) for seed in range(8)], fps=4, gop=1)


@pytest.mark.parametrize(
    ("make", "slugs"),
    [(_no_parallax, {"no_parallax"}), (_no_overlap, {"too_little_overlap"})],
    ids=["no_parallax", "too_little_overlap"],
)
def test_no_scene_in_it(splatflow: Command, tmp_path: Path, make: Made, slugs: set[str]) -> None:
    clip = make(tmp_path / "clip.mp4")
    done = splatflow.run("run", clip, "--out", tmp_path / "out")
    assert refused(done) in slugs
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--steps", "0"],
        ["--steps", "many"],
        ["--max-gaussians", "5"],
        ["--max-frames", "1"],
        ["--sh-degree", "4"],
        ["--method", "magic"],
        ["--preset", "best"],
        ["--device", "tpu"],
        ["--seed", "-1"],
        ["--no-such-option"],
    ],
    ids=" ".join,
)
def test_bad_options(splatflow: Command, tmp_path: Path, arguments: list[str]) -> None:
    done = splatflow.run("run", _text(tmp_path / "clip.mp4"), "--out", tmp_path / "out", *arguments)
    assert refused(done) == "bad_option"
    assert not (tmp_path / "out").exists()


def test_cuda_where_there_is_none(splatflow: Command, tmp_path: Path) -> None:
    from tasks.process.device import why_no_cuda

    if not why_no_cuda():
        pytest.skip("this machine has CUDA")
    done = splatflow.run("run", _text(tmp_path / "clip.mp4"), "--out", tmp_path / "out", "--device", "cuda")
    assert refused(done) == "device_unavailable"


def test_output_below_a_file(splatflow: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    clip = clips.write_clip(tmp_path / "clip.mp4", clips.pan(12))
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        assert refused(splatflow.run("run", clip, "--out", out)) == "output_unwritable"
    assert (tmp_path / "file").read_text() == "x"


def test_output_that_may_not_be_written(splatflow: Command, tmp_path: Path) -> None:
    clip = clips.write_clip(tmp_path / "clip.mp4", clips.pan(12))
    locked = Path("/proc/self") if os.geteuid() == 0 else tmp_path / "locked"  # permission bits don't bind root
    if not locked.exists():
        locked.mkdir(mode=0o500)
    assert refused(splatflow.run("run", clip, "--out", locked / "out")) == "output_unwritable"


def test_output_among_other_files(splatflow: Command, tmp_path: Path) -> None:
    clip = clips.write_clip(tmp_path / "clip.mp4", clips.pan(12))
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years")
    before = tree(tmp_path)
    assert refused(splatflow.run("run", clip, "--out", home)) == "output_unwritable"
    assert tree(tmp_path) == before


def test_output_inside_the_input(splatflow: Command, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(clips.pan(1)[0]).save(photos / "a.jpg")
    before = tree(tmp_path)
    assert refused(splatflow.run("run", photos, "--out", photos / "out")) == "bad_option"
    assert tree(tmp_path) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip(f"can't mount a small disk here: {mount.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(splatflow: Command, tmp_path: Path, small_disk: Path) -> None:
    clip = clips.write_clip(tmp_path / "clip.mp4", clips.pan(40, 1280, 720, 12.0))
    done = splatflow.run("run", clip, "--out", small_disk / "out")
    assert refused(done) == "disk_full"
    assert tree(small_disk) == {}


def test_a_disk_without_any_room(splatflow: Command, tmp_path: Path, small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(2 * 1024 * 1024 - 16 * 1024))
    clip = clips.write_clip(tmp_path / "clip.mp4", clips.pan(12))
    assert refused(splatflow.run("run", clip, "--out", small_disk / "out")) == "disk_full"
    assert set(tree(small_disk)) == {"ballast"}


def test_posed_folders_that_are_none(splatflow: Command, tmp_path: Path) -> None:
    (tmp_path / "posed" / "images").mkdir(parents=True)
    for posed in (tmp_path / "posed", tmp_path / "nowhere"):
        assert refused(splatflow.run("train", posed, "--out", tmp_path / "out")) == "bad_posed_input"
        assert not (tmp_path / "out").exists()


def test_scenes_that_are_none(splatflow: Command, tmp_path: Path) -> None:
    (tmp_path / "scene.ply").write_text("ply\nnonsense")
    before = tree(tmp_path)
    assert refused(splatflow.run("export", tmp_path / "scene.ply", "--to", "spz")) == "bad_scene"
    assert refused(splatflow.run("export", tmp_path / "nowhere.ply", "--to", "spz")) == "bad_scene"
    assert tree(tmp_path) == before
