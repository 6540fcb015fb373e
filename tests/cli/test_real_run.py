"""The whole way with the real steps on a small clip of the demo scene: killed in every step, resumed, and judged."""

import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest

from cli import demo
from tasks.geometry.heldout import held_out_names
from tests.cli.conftest import Command, wait_until
from tests.extract import clips

FRAMES, WIDTH, HEIGHT = 16, 320, 180
OPTIONS = ["--steps", "60", "--max-gaussians", "6000", "--seed", "3"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short, small clip of the demo scene."""
    scene, cameras = demo.demo_scene(coarseness=1.6), demo.demo_cameras(60, width=WIDTH, height=HEIGHT)
    views = [demo.render(scene, cameras, i) for i in range(0, FRAMES * 2, 2)]
    return clips.write_clip(tmp_path_factory.mktemp("demo") / "clip.mp4", views, fps=8)


@pytest.fixture(scope="module")
def result(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of a run that was killed once in every step, then stopped with Ctrl-C in training."""
    out = tmp_path_factory.mktemp("run") / "out"
    command = Command("cli.main")
    try:
        for step in ("extract", "sfm", "train", "export"):
            process = command.start("run", clip, "--out", out, "--resume", *OPTIONS)
            making = out / ".splatflow" / step
            wait_until(lambda making=making: any(making.glob("*.part")), seconds=240)
            if step == "train":
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=60)
                assert process.returncode == 130
                assert "--resume" in err
            else:
                process.kill()
                process.communicate()
            assert not (out / "report.json").exists()
        done = command.run("run", clip, "--out", out, "--resume", *OPTIONS)
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(re.findall(r"reused", done.stdout)) == 3, done.stdout
    finally:
        command.end()
    return out


def test_the_folder_is_whole(result: Path) -> None:
    names = {path.name for path in result.iterdir()}
    files = {"scene.ply", "scene.spz", "preview.jpg", "camera.json", "views.zip", "report.json", "report.html"}
    assert names == files | {"images", "colmap", ".splatflow"}
    assert {path.name for path in (result / ".splatflow").iterdir()} == {"lock", "extract", "sfm", "train"}
    assert not list(result.rglob("*.part"))


def test_the_report_says_what_programs_rely_on(result: Path) -> None:
    report = json.loads((result / "report.json").read_text())
    names = sorted(path.name for path in (result / "images").iterdir())
    assert report["evaluation"]["held_out"] == held_out_names(names)
    assert (report["evaluation"]["width"], report["evaluation"]["height"]) == (WIDTH, HEIGHT)
    assert report["evaluation"]["psnr_db"] > 18
    assert 0 < report["evaluation"]["ssim"] < 1
    assert report["sfm"]["frames_given"] == FRAMES
    assert report["sfm"]["frames_registered"] >= FRAMES - 1
    assert report["sfm"]["reprojection_error_px"] < 1
    assert {"points", "method", "attempts"} <= report["sfm"].keys()
    training = report["training"]
    assert training["steps"] == 60
    assert 100 < training["num_gaussians"] <= 6000
    assert training["device"].startswith("cpu")
    assert training["seconds"] > 0
    assert training["seconds_per_step"] > 0
    for step in ("extract", "sfm", "train", "export"):
        assert report["stages"][step]["seconds"] > 0
    assert report["peak_memory_bytes"] > 50e6
    assert isinstance(report["warnings"], list)


def test_the_cameras_are_those_that_filmed(result: Path) -> None:
    """Centres agree with the truth up to a similarity (Umeyama 1991)."""
    import pycolmap

    model = pycolmap.Reconstruction(result / "colmap")
    poses = [image.cam_from_world().matrix() for image in sorted(model.images.values(), key=lambda i: i.name)]
    if len(poses) != FRAMES:
        pytest.skip("not every frame registered, so frames and cameras can't be paired by order")
    found = np.stack([-pose[:, :3].T @ pose[:, 3] for pose in poses])
    cameras = demo.demo_cameras(60, width=WIDTH, height=HEIGHT)
    true = np.stack([-view[:3, :3].T @ view[:3, 3] for view in cameras.viewmats[: FRAMES * 2 : 2].astype(float)])
    a, b = found - found.mean(0), true - true.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = (s * np.diag(flip)).sum() / (a**2).sum()
    residual = b - scale * a @ (u @ flip @ vt).T
    assert np.sqrt((residual**2).sum(1).mean()) < 0.03 * np.linalg.norm(b, axis=1).max()


def test_training_again_on_the_posed_images(splatflow: Command, result: Path, tmp_path: Path) -> None:
    """`splatflow train` on a result's own images and model, and the same seed gives the same scene."""
    out = tmp_path / "again"
    done = splatflow.run("train", result, "--out", out, *OPTIONS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "max-frames" not in done.stdout
    assert (out / "scene.ply").read_bytes() == (result / "scene.ply").read_bytes()
    assert sorted(p.name for p in (out / "images").iterdir()) == sorted(p.name for p in (result / "images").iterdir())
    assert json.loads((out / "report.json").read_text())["training"]["steps"] == 60


def test_export_of_the_scene(splatflow: Command, result: Path, tmp_path: Path) -> None:
    done = splatflow.run("export", result / "scene.ply", "--to", "spz", "--out", tmp_path / "scene.spz")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "scene.spz").read_bytes() == (result / "scene.spz").read_bytes()
