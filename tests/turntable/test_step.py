"""The step: a video of the scene as it is, whole or not at all."""

import json
import shutil
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tasks.errors import BadOption, BadPosedInput, BadScene, OutputUnwritable
from tasks.gaussians.ground import NEUTRAL_GROUND
from tasks.gaussians.ply import read_ply
from tasks.geometry.framing import viewmat
from tasks.train.backend import choose_backend
from tasks.train.render import render_with_alpha
from tasks.turntable.options import TurntableOptions
from tasks.turntable.scene import parameters
from tasks.turntable.step import turntable
from tests.turntable.made import HEIGHT, WIDTH, Folders, ring, write_folders

SMALL = TurntableOptions(seconds=1, side_px=160, fps=24, device="cpu", threads=1)
SIZE = (160, 106)  # 150 x 100, scaled to 160, both sides even


def quiet(done: int, total: int, message: str) -> None:
    assert 0 <= done <= total
    assert message


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return write_folders(tmp_path_factory.mktemp("ball"), ring(np.linspace(0, 340, 18)))


def own_view(folders: Folders, *, masked: bool) -> np.ndarray:
    """The framing's own picture (H, W, 3), rendered here."""
    backend = choose_backend("cpu", 1)
    K = folders.K.copy()
    K[0] *= SIZE[0] / WIDTH
    K[1] *= SIZE[1] / HEIGHT
    params = parameters(read_ply(folders.trained / "scene.ply"), backend.device)
    pose = viewmat(folders.framing).astype(np.float32)
    image, alpha = render_with_alpha(params, backend, pose, K.astype(np.float32), *SIZE, antialiased=False)
    image = image + (1 - alpha) * np.float32(NEUTRAL_GROUND) if masked else image
    return (np.clip(image, 0, 1) * 255).round()


def read_rgb(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path))
    assert picture is not None
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(float)


def test_the_video_goes_around_the_scene(folders: Folders, tmp_path: Path) -> None:
    out = tmp_path / "out"
    record = turntable(folders.trained, folders.posed, out, SMALL, quiet)
    assert sorted(p.name for p in out.iterdir()) == ["poster.jpg", "turntable.json", "turntable.mp4"]
    assert (record.path, record.frames, record.width, record.height, record.masked) == ("orbit", 24, *SIZE, False)
    told = json.loads((out / "turntable.json").read_text())
    assert (told["seconds"], told["fps"], told["codec"], told["warnings"]) == (1.0, 24, record.codec, [])
    assert told["options"]["side_px"] == 160
    assert told["bytes"] == (out / "turntable.mp4").stat().st_size
    assert told["peak_memory_bytes"] > 0
    with av.open(str(out / "turntable.mp4")) as container:
        assert container.streams.video[0].average_rate == 24
        frames = [frame.to_ndarray(format="rgb24").astype(float) for frame in container.decode(video=0)]
    assert len(frames) == 24
    assert {frame.shape for frame in frames} == {(SIZE[1], SIZE[0], 3)}
    truth = own_view(folders, masked=False)
    assert np.abs(read_rgb(out / "poster.jpg") - truth).mean() < 2
    assert np.abs(frames[0] - truth).mean() < 4
    # half way round, the ball shows its other side; the last frame is about as near to the first as the second is
    assert np.abs(frames[12] - frames[0]).mean() > 10
    assert np.abs(frames[-1] - frames[0]).mean() < 1.5 * np.abs(frames[1] - frames[0]).mean()


def test_a_subject_is_on_the_neutral_ground_and_filmed_sides_are_kept(tmp_path: Path) -> None:
    folders = write_folders(tmp_path, ring(np.linspace(-30, 30, 9)), masked=True)
    record = turntable(folders.trained, folders.posed, tmp_path / "out", SMALL, quiet)
    assert (record.path, record.masked) == ("sway", True)
    poster = read_rgb(tmp_path / "out" / "poster.jpg")
    assert np.abs(poster[:8, :8] - 255 * NEUTRAL_GROUND).max() <= 3
    assert np.abs(poster - own_view(folders, masked=True)).mean() < 2


def test_a_stop_leaves_nothing(folders: Folders, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    for at in (0, 1, 11, 24):

        def stopping(done: int, total: int, message: str, at: int = at) -> None:
            if done >= at:
                raise Stop

        with pytest.raises(Stop):
            turntable(folders.trained, folders.posed, tmp_path / "out", SMALL, stopping)
        assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_is_named(folders: Folders, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(BadPosedInput):
        turntable(folders.trained, tmp_path, out, SMALL, quiet)
    camera = json.loads((folders.trained / "camera.json").read_text())
    trained = tmp_path / "trained"
    shutil.copytree(folders.trained, trained)
    no_view = {"position": camera["lookAt"], "lookAt": camera["lookAt"], "up": camera["up"]}
    for text in ("", "{}", "[]", json.dumps({**camera, "up": {"x": 0}}), json.dumps(no_view)):
        (trained / "camera.json").write_text(text)
        with pytest.raises(BadScene, match=r"camera\.json"):
            turntable(trained, folders.posed, out, SMALL, quiet)
    (trained / "scene.ply").write_bytes(b"ply\n")
    with pytest.raises(BadScene):
        turntable(trained, folders.posed, out, SMALL, quiet)
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(OutputUnwritable):
        turntable(folders.trained, folders.posed, out, SMALL, quiet)
    assert (out / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "given",
    [
        {"seconds": 0.9},
        {"seconds": 60.1},
        {"seconds": float("nan")},
        {"side_px": 159},
        {"side_px": 1921},
        {"fps": 23},
        {"fps": 61},
        {"path": "spin"},
        {"device": "tpu"},
        {"threads": 0},
    ],
)
def test_options_out_of_range_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(BadOption):
        TurntableOptions(**given)  # type: ignore[arg-type]


def test_the_frames_are_counted_from_the_seconds() -> None:
    assert [TurntableOptions(seconds=s).frames for s in (1, 2.5, 6, 60)] == [30, 75, 180, 1800]
