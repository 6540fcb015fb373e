"""The whole step, with a network that takes what is bright for the subject, and with the real one on real footage."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tasks.errors import MaskModelMissing, MaskModelUnusable, NoSubject, OutputUnwritable
from tasks.mask.model import find_model, model_sha256
from tasks.mask.options import MaskOptions
from tasks.mask.step import mask
from tests.mask.test_steady import texture
from tests.support.capture_folder import video_frames, write_capture

HEIGHT, WIDTH = 180, 320


def quiet(done: int, total: int, message: str) -> None:
    assert 0 <= done <= total


def frames(count: int = 8, *, without: tuple[int, ...] = ()) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A bright, textured disc that moves over a dark, textured ground, and its true masks (bool)."""
    rng = np.random.default_rng(4)
    ground, skin = texture(rng, HEIGHT, WIDTH + 100) * 0.25, 190 + texture(rng, HEIGHT, WIDTH) * 0.25
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    images, masks = [], []
    for k in range(count):
        inside = np.hypot(x - 120 - 4 * k, y - 90) < 50
        shown = inside if k not in without else np.zeros_like(inside)
        gray = np.where(shown, np.roll(skin, 4 * k, 1), ground[:, 2 * k : 2 * k + WIDTH])
        gray[0, 0] = 255  # rembg scales a frame by its brightest pixel
        images.append(np.repeat(gray[..., None], 3, 2).astype(np.uint8))
        masks.append(inside)
    return images, masks


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "L"
        return np.asarray(image)


def iou(alpha: np.ndarray, truth: np.ndarray) -> float:
    return float(((alpha >= 128) & truth).sum() / ((alpha >= 128) | truth).sum())


@pytest.mark.parametrize("looks", [1, 2])
def test_masks_are_those_of_the_subject(tmp_path, bright_model, looks):
    images, truth = frames()
    write_capture(tmp_path / "in", images)
    record = mask(tmp_path / "in", tmp_path / "out", MaskOptions(looks=looks, num_threads=1), bright_model, quiet)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"masks", "mask.json"}
    assert [p.name for p in sorted((tmp_path / "out" / "masks").iterdir())] == [f"{i:05d}.png" for i in range(1, 9)]
    for k, inside in enumerate(truth):
        alpha = read(tmp_path / "out" / "masks" / f"{k + 1:05d}.png")
        assert alpha.shape == (HEIGHT, WIDTH)
        assert iou(alpha, inside) > 0.97
    assert record.frames == record.frames_with_subject == 8
    assert record.coverage == pytest.approx(np.mean(truth), rel=0.03)
    assert record.mended == ()
    assert record.background == "moves"
    assert record.warnings == ()
    facts = json.loads((tmp_path / "out" / "mask.json").read_text())
    assert facts["model_sha256"] == record.model_sha256 == model_sha256(bright_model)
    assert [f["name"] for f in facts["frames"]] == [f"{i:05d}.jpg" for i in range(1, 9)]
    assert facts["options"]["looks"] == looks


def test_photos_get_no_word_from_their_neighbours(tmp_path, bright_model):
    images, _ = frames(6, without=(3,))
    write_capture(tmp_path / "in", images, ordered=False)
    record = mask(tmp_path / "in", tmp_path / "out", MaskOptions(num_threads=1), bright_model, quiet)
    assert read(tmp_path / "out" / "masks" / "00004.png")[5:, 5:].max() < 50
    assert record.frames_with_subject == 5
    assert "not in 00004.jpg" in record.warnings[0]


def test_a_frame_where_the_network_fails_is_mended_and_named(tmp_path, bright_model):
    """A green light for a frame: as bright to the eye, but dark in the mean over the colours, which is all that this network sees."""
    images, truth = frames()
    for k, inside in enumerate(truth):
        gray = 140.0 + (images[k][inside][:, :1] - 190.0) * 0.47
        images[k][inside] = gray * ([0.41, 1.49, 0.0] if k == 4 else [1, 1, 1])
    write_capture(tmp_path / "in", images)
    write_capture(tmp_path / "photos", images, ordered=False)
    record = mask(tmp_path / "in", tmp_path / "out", MaskOptions(num_threads=1), bright_model, quiet)
    mask(tmp_path / "photos", tmp_path / "unmended", MaskOptions(num_threads=1), bright_model, quiet)
    name = Path("masks") / "00005.png"
    assert iou(read(tmp_path / "unmended" / name), truth[4]) < 0.1
    assert iou(read(tmp_path / "out" / name), truth[4]) > 0.9
    assert record.mended == ("00005.jpg",)


def test_a_clip_without_a_subject_is_refused(tmp_path, bright_model):
    images, _ = frames(6, without=tuple(range(6)))
    write_capture(tmp_path / "in", images)
    with pytest.raises(NoSubject, match=r"in none of the frames.*leave the background in"):
        mask(tmp_path / "in", tmp_path / "out", MaskOptions(num_threads=1), bright_model, quiet)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_a_subject_that_fills_the_view_is_said(tmp_path, bright_model):
    images = [np.full((120, 160, 3), 250, np.uint8) for _ in range(4)]
    for image in images:
        image[:, :6] = 10
    write_capture(tmp_path / "in", images)
    record = mask(tmp_path / "in", tmp_path / "out", MaskOptions(num_threads=1), bright_model, quiet)
    assert "hardly any background" in record.warnings[0]


def test_a_bad_model_is_refused_before_the_frames_are_looked_at(tmp_path):
    bad = tmp_path / "u2netp.onnx"
    with pytest.raises(MaskModelMissing):
        mask(tmp_path / "nothing", tmp_path / "out", MaskOptions(), bad, quiet)
    bad.write_text("not a network")
    with pytest.raises(MaskModelUnusable):
        mask(tmp_path / "nothing", tmp_path / "out", MaskOptions(), bad, quiet)
    assert not (tmp_path / "out").exists()


def test_another_file_than_the_one_asked_for_is_refused(tmp_path, bright_model):
    with pytest.raises(MaskModelUnusable, match="changed"):
        mask(tmp_path / "nothing", tmp_path / "out", MaskOptions(model_sha256="0" * 64), bright_model, quiet)


@pytest.mark.parametrize("stop_at", ["loading", "masks of 2", "mending", "edges of 2"])
def test_progress_can_stop_it_and_nothing_is_left(tmp_path, bright_model, stop_at):
    write_capture(tmp_path / "in", frames(4)[0])

    def stop(done: int, total: int, message: str) -> None:
        if message.startswith(stop_at):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mask(tmp_path / "in", tmp_path / "out", MaskOptions(num_threads=1), bright_model, stop)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_an_output_that_holds_something_is_left_alone(tmp_path, bright_model):
    write_capture(tmp_path / "in", frames(4)[0])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(OutputUnwritable):
        mask(tmp_path / "in", tmp_path / "out", MaskOptions(num_threads=1), bright_model, quiet)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.shared
def test_the_fox_is_found(shared_data, tmp_path):
    """Its nose and the shield's middle are in, the corners of the wall are out, in frames that show it whole."""
    images = video_frames(shared_data / "fox" / "video.mp4", limit=18)[8::3]
    write_capture(tmp_path / "in", images)
    model = find_model(shared_data / "u2netp", "u2netp")
    record = mask(tmp_path / "in", tmp_path / "out", MaskOptions(num_threads=2), model, quiet)
    assert record.frames_with_subject == len(images)
    assert 0.1 < record.coverage < 0.45
    for path in (tmp_path / "out" / "masks").iterdir():
        alpha = read(path)
        assert alpha.shape == (1280, 720)
        assert max(alpha[20, 20], alpha[-20, 20], alpha[-20, -20]) < 20
        centre = cv2.moments((alpha >= 128).astype(np.uint8), binaryImage=True)
        row, column = centre["m01"] / centre["m00"], centre["m10"] / centre["m00"]
        assert alpha[int(row), int(column)] > 230


@pytest.mark.shared
def test_a_walk_without_a_subject_is_refused_or_said(shared_data, tmp_path):
    """A path, a building, hedges: the first frames show nothing that stands out."""
    images = video_frames(shared_data / "gopro_max_walk" / "video.mp4", every=8, limit=8)
    write_capture(tmp_path / "in", images)
    model = find_model(shared_data / "u2netp", "u2netp")
    with pytest.raises(NoSubject):
        mask(tmp_path / "in", tmp_path / "out", MaskOptions(num_threads=2), model, quiet)
