"""The whole step on scenes whose poses we know."""

import json
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image

from tasks.errors import NoParallax, OutputUnwritable, TooFewFrames, TooLittleOverlap
from tasks.geometry.similarity import align_points
from tasks.sfm.options import SfmOptions, SfmRecord
from tasks.sfm.step import reconstruct
from tests.support.capture_folder import video_frames, write_capture
from tests.support.raycast import look_at, orbit, render, room

FOCAL = 300.0
WIDTH, HEIGHT = 320, 240
LENS = pycolmap.Camera(
    model="OPENCV", width=WIDTH, height=HEIGHT, params=[FOCAL, FOCAL, 160, 120, -0.08, 0.02, 0.0, 0.0]
)
QUICK = SfmOptions(max_features=1000, feature_side_px=480, num_threads=2)


def quiet(done: int, total: int, message: str) -> None:
    assert 0 <= done <= total


def centres(model: pycolmap.Reconstruction) -> dict[str, np.ndarray]:
    return {model.images[i].name: model.images[i].projection_center() for i in model.reg_image_ids()}


@pytest.fixture(scope="module")
def arc() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Poses (3, 4) and views of an arc of 14 around the room's boxes."""
    poses = orbit(14, degrees=90)
    scene = room()
    return poses, [render(scene, LENS, pose) for pose in poses]


@pytest.fixture(scope="module", params=["glomap", "colmap"])
def posed(request, arc, tmp_path_factory) -> tuple[SfmRecord, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    write_capture(folder / "in", arc[1])
    options = SfmOptions(method=request.param, max_features=1000, feature_side_px=480, num_threads=2)
    return reconstruct(folder / "in", folder / "out", options, quiet), folder / "out"


def test_poses_are_right_up_to_a_similarity(posed, arc):
    record, out = posed
    model = pycolmap.Reconstruction(out / "colmap")
    assert record.frames_registered == record.frames_given == 14
    found = centres(model)
    names = sorted(found)
    truth = np.array([-p[:, :3].T @ p[:, 3] for p in arc[0]])
    measured = np.array([found[n] for n in names])
    fit = align_points(measured, truth)
    assert np.linalg.norm(fit.apply(measured) - truth, axis=1).max() < 0.02  # the arc's radius is 2.2
    for name, pose in zip(names, arc[0], strict=True):
        rotation = model.find_image_with_name(name).cam_from_world().matrix()[:, :3]
        error = rotation @ fit.rotation.T @ pose[:, :3].T
        assert np.rad2deg(np.arccos(np.clip((np.trace(error) - 1) / 2, -1, 1))) < 0.3


def test_lens_is_recovered(posed):
    record, out = posed
    lens = json.loads((out / "sfm.json").read_text())["lenses"]["1"]
    assert lens["params"][0] == pytest.approx(FOCAL, rel=0.015)
    assert record.reprojection_error_px < 0.5


def test_world_is_upright_and_normalised(posed):
    _, out = posed
    model = pycolmap.Reconstruction(out / "colmap")
    places = np.array(list(centres(model).values()))
    assert np.linalg.norm(places, axis=1).mean() == pytest.approx(1.0, abs=1e-6)
    down = np.mean([model.images[i].cam_from_world().matrix()[1, :3] for i in model.reg_image_ids()], axis=0)
    assert down[1] > 0.7
    for i in model.reg_image_ids():  # the true cameras are level
        assert abs(model.images[i].cam_from_world().matrix()[0, 1]) < np.sin(np.deg2rad(1.5))


def test_images_fit_their_pinhole_and_show_no_border(posed):
    record, out = posed
    model = pycolmap.Reconstruction(out / "colmap")
    assert {c.model_name for c in model.cameras.values()} == {"PINHOLE"}
    for i in model.reg_image_ids():
        camera = model.cameras[model.images[i].camera_id]
        with Image.open(out / "images" / model.images[i].name) as image:
            assert image.size == (camera.width, camera.height) == (record.width, record.height) == (WIDTH, HEIGHT)
    assert sorted(p.name for p in (out / "images").iterdir()) == sorted(centres(model))


def test_points_project_onto_their_observations(posed):
    _, out = posed
    model = pycolmap.Reconstruction(out / "colmap")
    model.update_point_3d_errors()
    assert model.num_points3D() > 500
    assert model.compute_mean_reprojection_error() < 0.6
    names = ("cameras", "images", "points3D", "frames", "rigs")
    assert {p.name for p in (out / "colmap").iterdir()} == {f"{name}.bin" for name in names}


def test_record_and_file_agree(posed):
    record, out = posed
    facts = json.loads((out / "sfm.json").read_text())
    assert facts["frames_registered"] == record.frames_registered
    assert facts["attempts"][0]["why"] == "first attempt"
    assert [f["registered"] for f in facts["frames"]] == [True] * 14
    assert np.array(facts["world_from_sfm"]).shape == (4, 4)
    assert record.warnings == ()
    assert {p.name for p in out.iterdir()} == {"images", "colmap", "sfm.json"}


def test_the_same_seed_gives_the_same_model(arc, tmp_path):
    write_capture(tmp_path / "in", arc[1][:6])
    for name in ("a", "b"):
        reconstruct(tmp_path / "in", tmp_path / name, QUICK, quiet)
    a, b = (centres(pycolmap.Reconstruction(tmp_path / n / "colmap")) for n in ("a", "b"))
    assert a.keys() == b.keys()
    assert max(np.linalg.norm(a[n] - b[n]) for n in a) < 1e-3


def test_a_camera_that_only_turns_is_refused(tmp_path):
    eye = np.array([0.0, -0.3, -1.5])
    scene = room()
    poses = [look_at(eye, eye + np.array([np.sin(a), 0.2, np.cos(a)])) for a in np.deg2rad(np.linspace(-40, 40, 8))]
    write_capture(tmp_path / "in", [render(scene, LENS, pose) for pose in poses])
    with pytest.raises(NoParallax, match="walk around"):
        reconstruct(tmp_path / "in", tmp_path / "out", QUICK, quiet)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_a_clip_in_two_parts_keeps_the_larger_and_says_which(arc, tmp_path):
    other = [render(room(seed=5), LENS, pose) for pose in orbit(5, degrees=32)]
    write_capture(tmp_path / "in", [*arc[1][:9], *other])
    options = SfmOptions(max_features=1000, feature_side_px=480, num_threads=2, max_attempts=1)
    record = reconstruct(tmp_path / "in", tmp_path / "out", options, quiet)
    assert record.frames_registered == 9
    assert "00001.jpg to 00009.jpg" in record.warnings[0]
    assert "lacks 00010.jpg to 00014.jpg" in record.warnings[0]


def test_unrelated_frames_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    write_capture(tmp_path / "in", [rng.integers(0, 255, (120, 160), dtype=np.uint8) for _ in range(5)])
    options = SfmOptions(max_features=500, num_threads=2, max_attempts=2)
    with pytest.raises(TooLittleOverlap):
        reconstruct(tmp_path / "in", tmp_path / "out", options, quiet)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_two_frames_are_refused(arc, tmp_path):
    write_capture(tmp_path / "in", arc[1][:2])
    with pytest.raises(TooFewFrames):
        reconstruct(tmp_path / "in", tmp_path / "out", QUICK, quiet)
    assert not (tmp_path / "out").exists()


def test_an_output_that_holds_something_is_left_alone(arc, tmp_path):
    write_capture(tmp_path / "in", arc[1][:4])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(OutputUnwritable):
        reconstruct(tmp_path / "in", tmp_path / "out", QUICK, quiet)
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize("stop_at", ["features", "matching", "solving", "undistorting"])
def test_progress_can_stop_it_and_nothing_is_left(arc, tmp_path, stop_at):
    write_capture(tmp_path / "in", arc[1][:6])

    def stop(done: int, total: int, message: str) -> None:
        if message.startswith(stop_at):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconstruct(tmp_path / "in", tmp_path / "out", QUICK, stop)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


@pytest.mark.shared
def test_fox_every_other_frame(shared_data, tmp_path):
    write_capture(tmp_path / "in", video_frames(shared_data / "fox" / "video.mp4", every=2))
    options = SfmOptions(max_features=1500, feature_side_px=640, num_threads=2)
    record = reconstruct(tmp_path / "in", tmp_path / "out", options, quiet)
    assert record.frames_registered == 25
    assert record.reprojection_error_px <= 0.9
    lens = json.loads((tmp_path / "out" / "sfm.json").read_text())["lenses"]["1"]
    assert lens["params"][0] == pytest.approx(687.8 * 1280 / 960, rel=0.01)


@pytest.mark.shared
def test_banana_gives_a_part_and_says_which(shared_data, tmp_path):
    write_capture(tmp_path / "in", video_frames(shared_data / "banana" / "video.mp4"))
    options = SfmOptions(max_attempts=1, max_features=1000, feature_side_px=480, num_threads=2)
    record = reconstruct(tmp_path / "in", tmp_path / "out", options, quiet)
    assert 6 <= record.frames_registered <= 16
    if record.frames_registered < 16:
        assert any("could be placed" in w and ".jpg" in w for w in record.warnings)
