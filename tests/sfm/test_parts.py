"""The parts of structure from motion, each by its own law."""

import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pycolmap
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from tasks.errors import BadOption, DiskFull, NoParallax, OutputUnwritable
from tasks.geometry.cameras import pixel_grid, pixels_from_rays, rays_from_pixels
from tasks.geometry.pinhole import fit_pinhole, remap_tables
from tasks.sfm.checks import measure_parallax, ranges, require_parallax
from tasks.sfm.child import run_in_child
from tasks.sfm.features import detect, root_sift, spread_selection
from tasks.sfm.focal import vote
from tasks.sfm.lens import convert, lens_is_sane
from tasks.sfm.matching import match
from tasks.sfm.options import SfmOptions
from tasks.sfm.orient import orient, poses
from tasks.sfm.pairs import exhaustive_pairs, sequential_pairs
from tasks.sfm.retrieval import propose, similarity_matrix
from tasks.sfm.step import fresh_folder
from tasks.sfm.upright import find_gravity


def blobs(seed: int = 0, size: tuple[int, int] = (240, 320)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = sum(gaussian_filter(rng.standard_normal(size), s) * s for s in (2, 4, 8))
    return np.clip(128 + 60 * np.asarray(image), 0, 255).astype(np.uint8)


def unit(rng: np.random.Generator, count: int) -> np.ndarray:
    d = rng.random((count, 128)).astype(np.float32)
    return d / np.linalg.norm(d, axis=1, keepdims=True)


def test_keypoints_follow_the_pixel_convention():
    """A single round blob centred on a pixel lies at (x + 0.5, y + 0.5), whatever size it's looked for at."""
    image = np.zeros((121, 161))
    image[60, 80] = 1
    image = gaussian_filter(image, 5)
    gray = (255 * image / image.max()).astype(np.uint8)
    for side in (161, 120):
        found = detect(gray, side_px=side, count=50)
        nearest = np.linalg.norm(found.keypoints[:, :2] - [80.5, 60.5], axis=1).min()
        assert nearest < 0.15


def test_features_are_sorted_by_scale_and_capped():
    found = detect(blobs(), side_px=320, count=100)
    assert len(found.keypoints) == len(found.descriptors) == 100
    assert (np.diff(found.keypoints[:, 2]) <= 0).all()
    norms = np.linalg.norm(found.descriptors.astype(float), axis=1)
    assert np.all(np.abs(norms - 512) < 20)


def test_an_empty_image_has_no_features():
    assert len(detect(np.full((100, 100), 7, np.uint8), side_px=100, count=10).keypoints) == 0


def test_root_sift_distance_is_hellinger():
    a, b = np.random.default_rng(0).random((2, 1, 128)).astype(np.float32)
    hellinger = np.sqrt(a / a.sum()) @ np.sqrt(b / b.sum()).T
    ours = root_sift(a).astype(float) @ root_sift(b).astype(float).T / 512**2
    assert ours[0, 0] == pytest.approx(hellinger[0, 0], abs=0.01)


def test_spread_selection_covers_what_the_strongest_do_not():
    rng = np.random.default_rng(0)
    corner = rng.random((900, 2)) * 20
    everywhere = rng.random((100, 2)) * [320, 240]
    xy = np.concatenate([corner, everywhere])
    response = np.concatenate([np.full(900, 10.0), np.full(100, 1.0)])
    kept = spread_selection(xy, response, (320, 240), 100)
    assert len(set(kept.tolist())) == 100
    assert (kept >= 900).sum() > 50


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_matching_undoes_a_permutation(seed):
    rng = np.random.default_rng(seed)
    a = unit(rng, 50)
    order = rng.permutation(50)
    found = match(a, a[order], ratio=0.8)
    assert len(found) == 50
    assert (order[found[:, 1]] == found[:, 0]).all()


def test_matching_refuses_the_ambiguous():
    rng = np.random.default_rng(0)
    a = unit(rng, 20)
    twice = np.concatenate([a + 0.02 * rng.standard_normal(a.shape).astype(np.float32) for _ in range(2)])
    assert len(match(a, twice / np.linalg.norm(twice, axis=1, keepdims=True), ratio=0.8)) == 0


def test_pairs_are_linear_and_ordered():
    pairs = sequential_pairs(200, 8)
    assert all(0 <= i < j < 200 for i, j in pairs)
    assert len(pairs) == len(set(pairs)) < 200 * 14
    assert len(exhaustive_pairs(10)) == 45


def test_retrieval_finds_the_frame_seen_twice():
    rng = np.random.default_rng(0)
    scenes = [unit(rng, 200) for _ in range(10)]
    noisy = scenes[0] + 0.01 * rng.standard_normal((200, 128)).astype(np.float32)
    frames = [*scenes, noisy / np.linalg.norm(noisy, axis=1, keepdims=True)]
    assert (0, 10) in propose(similarity_matrix(frames, seed=0), 1, min_gap=2)


def test_focal_vote_finds_the_lens_of_general_motion():
    rng = np.random.default_rng(0)
    focal, width, height = 700.0, 800, 600
    k_inv = np.linalg.inv(np.array([[focal, 0, 400], [0, focal, 300], [0, 0, 1]]))
    fundamentals = []
    for seed in range(30):
        t = rng.standard_normal(3)
        cross = np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0]])
        rotation = Rotation.from_rotvec(rng.normal(0, 0.3, 3)).as_matrix()
        fundamentals.append(k_inv.T @ cross @ rotation @ k_inv * (seed + 1))
    found = vote(fundamentals, [100] * 30, width=width, height=height)
    assert found.clear
    assert found.focal_px == pytest.approx(focal, rel=0.02)


def test_focal_vote_of_noise_is_not_clear():
    rng = np.random.default_rng(0)
    found = vote(list(rng.standard_normal((30, 3, 3))), [50] * 30, width=800, height=600)
    assert not found.clear or found.contrast < 0.6


@pytest.mark.parametrize("lens", ["OPENCV", "OPENCV_FISHEYE"])
def test_converted_lens_projects_alike(lens):
    camera = pycolmap.Camera(model="OPENCV", width=640, height=480, params=[400, 402, 320, 240, -0.1, 0.02, 0, 0])
    other = convert(camera, lens)
    rays = rays_from_pixels(camera, pixel_grid(camera, 9, margin=0.1))
    assert np.abs(pixels_from_rays(other, rays) - pixels_from_rays(camera, rays)).max() < 0.5
    assert lens_is_sane(camera)


def test_a_lens_that_folds_is_not_sane():
    folded = pycolmap.Camera(model="OPENCV", width=640, height=480, params=[300, 300, 320, 240, -0.9, 0, 0, 0])
    assert not lens_is_sane(folded)


@pytest.mark.parametrize("k1", [-0.15, 0.0, 0.1])
def test_undistorted_view_is_native_in_size_and_inside_the_photo(k1):
    camera = pycolmap.Camera(model="OPENCV", width=640, height=360, params=[420, 420, 320, 180, k1, 0, 0.001, 0])
    pinhole = fit_pinhole(camera, 1600)
    assert (pinhole.width, pinhole.height) == (640, 360)
    x, y = remap_tables(camera, pinhole)
    assert x.min() > -1 and y.min() > -1 and x.max() < 640 and y.max() < 360  # noqa: PT018
    # ... and no smaller than it needs to be: somewhere the border is reached.
    assert min(x.min(), y.min(), 639 - x.max(), 359 - y.max()) < 1.0


def test_large_photos_are_capped():
    camera = pycolmap.Camera(model="PINHOLE", width=4000, height=3000, params=[3000, 3000, 2000, 1500])
    pinhole = fit_pinhole(camera, 1600)
    assert (pinhole.width, pinhole.height) == (1600, 1200)
    assert pinhole.focal_px == pytest.approx(1200, rel=0.01)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_gravity_turns_with_the_world(seed):
    rng = np.random.default_rng(seed)
    yaw = rng.uniform(-np.pi, np.pi, 20)
    pitch = rng.uniform(-0.5, 0.5, 20)
    level = Rotation.from_euler("yx", np.stack([yaw, pitch], 1)).as_matrix()
    turn = Rotation.random(random_state=seed).as_matrix()
    found = find_gravity(level @ turn.T, np.zeros((0, 3)))
    assert np.rad2deg(np.arccos(np.clip(found.down @ turn[:, 1], -1, 1))) < 3


def test_a_floor_sharpens_gravity():
    rng = np.random.default_rng(0)
    rolls = Rotation.from_euler("yxz", np.stack([np.linspace(-0.2, 0.2, 10), np.full(10, 0.3), np.full(10, 0.06)], 1))
    floor = np.stack([rng.uniform(-2, 2, 500), np.full(500, 1.0), rng.uniform(-2, 2, 500)], 1)
    clutter = rng.uniform(-1, 1, (300, 3))
    cameras_only = find_gravity(rolls.as_matrix(), np.zeros((0, 3)))
    both = find_gravity(rolls.as_matrix(), np.concatenate([floor, clutter]))
    assert both.source == "cameras and planes"
    assert both.down[1] > cameras_only.down[1]
    assert np.rad2deg(np.arccos(both.down[1])) < 1.5


def synthetic(**options) -> pycolmap.Reconstruction:
    pycolmap.set_random_seed(0)
    return pycolmap.synthesize_dataset(
        pycolmap.SyntheticDatasetOptions(num_rigs=1, num_frames_per_rig=12, num_points3D=300, **options)
    )


def test_orient_moves_the_world_and_not_the_images():
    model = synthetic()
    before = {i: model.images[i].project_point(model.points3D[1].xyz) for i in model.reg_image_ids()}
    orient(model, seed=0)
    _, centres = poses(model)
    for i, pixel in before.items():
        after = model.images[i].project_point(model.points3D[1].xyz)
        if pixel is not None:
            np.testing.assert_allclose(after, pixel, atol=1e-6)
    assert np.linalg.norm(centres, axis=1).mean() == pytest.approx(1.0)
    assert np.mean([model.images[i].cam_from_world().matrix()[1, 1] for i in model.reg_image_ids()]) > 0


def test_parallax_of_a_ring_and_of_a_tripod():
    model = synthetic()
    assert require_parallax(model).angle_deg > 10
    first = model.images[min(model.reg_image_ids())]
    eye = first.projection_center()
    for i in model.reg_image_ids():  # all cameras to one place: only their directions differ
        frame = model.frames[model.images[i].frame_id]
        pose = model.images[i].cam_from_world()
        frame.set_cam_from_world(
            model.images[i].camera_id, pycolmap.Rigid3d(pose.rotation, -(pose.rotation.matrix() @ eye))
        )
    assert measure_parallax(model).angle_deg < 0.1
    with pytest.raises(NoParallax):
        require_parallax(model)


def test_ranges_name_the_runs():
    names = [f"{i}.jpg" for i in range(8)]
    assert ranges(names, {"0.jpg", "1.jpg", "2.jpg", "5.jpg"}) == "0.jpg to 2.jpg, 5.jpg"


@pytest.mark.parametrize("bad", [{"method": "magic"}, {"max_features": 1}, {"match_ratio": 2.0}, {"num_threads": 0}])
def test_options_out_of_range_are_refused(bad):
    with pytest.raises(BadOption):
        SfmOptions(**bad)


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    def fill() -> None:
        with fresh_folder(tmp_path / "out") as part:
            (part / "half").write_text("x")
            raise OSError(28, os.strerror(28))

    with pytest.raises(DiskFull):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_a_file_is_unwritable(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputUnwritable), fresh_folder(tmp_path / "file" / "out"):
        pass


def child_echo(arguments, progress):
    progress(1, 2, "half")
    return {"twice": 2 * arguments["x"]}


def child_refuses(arguments, progress):
    raise NoParallax("walk around")


def child_crashes(arguments, progress):
    os.kill(os.getpid(), signal.SIGSEGV)


def child_is_killed(arguments, progress):
    os.kill(os.getpid(), signal.SIGKILL)


def child_hangs(arguments, progress):
    progress(0, 1, "hanging")
    time.sleep(60)


HERE = "tests.sfm.test_parts"


def test_child_returns_and_reports():
    seen = []
    result = run_in_child(f"{HERE}:child_echo", {"x": 4}, lambda *p: seen.append(p), num_threads=1)
    assert result == {"twice": 8}
    assert (1, 2, "half") in seen


def test_child_errors_keep_their_class():
    with pytest.raises(NoParallax, match="walk around"):
        run_in_child(f"{HERE}:child_refuses", {}, lambda *p: None, num_threads=1)


def test_child_crash_is_a_defect_and_a_kill_is_want_of_memory():
    with pytest.raises(RuntimeError, match="child process"):
        run_in_child(f"{HERE}:child_crashes", {}, lambda *p: None, num_threads=1)
    with pytest.raises(Exception, match="memory"):
        run_in_child(f"{HERE}:child_is_killed", {}, lambda *p: None, num_threads=1)


def test_child_stops_when_progress_raises():
    def stop(done, total, message):
        if message == "hanging":
            raise KeyboardInterrupt

    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        run_in_child(f"{HERE}:child_hangs", {}, stop, num_threads=1)
    assert time.perf_counter() - started < 30


def test_child_ends_with_its_parent():
    code = (
        "from tasks.sfm.child import run_in_child\n"
        f"run_in_child('{HERE}:child_hangs', {{}}, lambda *p: print(p, flush=True), num_threads=1)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    while "hanging" not in parent.stdout.readline():
        pass
    import psutil

    children = psutil.Process(parent.pid).children()
    assert children
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def test_opencv_threads_are_put_back():
    before = cv2.getNumThreads()
    detect(blobs(), side_px=320, count=10)
    assert cv2.getNumThreads() == before
