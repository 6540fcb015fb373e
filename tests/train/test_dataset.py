"""Posed folders: what is read, what is refused, and that pictures and cameras shrink together."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest

from tasks.errors import BadPosedInput
from tasks.train.dataset import load_dataset, resized
from tests.support.posed import write_posed


@pytest.fixture(scope="module")
def posed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_posed(tmp_path_factory.mktemp("dataset") / "posed", views=10)


@pytest.fixture
def copy(posed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(posed, tmp_path / "copy"))


def test_every_eighth_view_is_held_out(posed: Path) -> None:
    dataset = load_dataset(posed)
    assert [view.name for view in dataset.held_out] == ["frame_000000.png", "frame_000008.png"]
    assert len(dataset.training) == 8
    assert not {v.name for v in dataset.training} & {v.name for v in dataset.held_out}
    assert dataset.points.shape == dataset.colors.shape == (600, 3)
    assert dataset.views[3].image().shape == (54, 96, 3)


def test_a_smaller_picture_keeps_its_rays(posed: Path) -> None:
    view = load_dataset(posed).training[0]
    image, K = resized(view.image(), view.K, 48)
    assert image.shape == (27, 48, 3)
    corner, small_corner = np.array([96, 54, 1.0]), np.array([48, 27, 1.0])
    assert np.allclose(np.linalg.inv(view.K) @ corner, np.linalg.inv(K) @ small_corner, atol=1e-6)
    same, same_K = resized(view.image(), view.K, 5_000)
    assert same.shape == (54, 96, 3)
    assert (same_K == view.K).all()


def test_refusals_say_what_to_do(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(BadPosedInput, match="images/ and a COLMAP model"):
        load_dataset(tmp_path / "nothing")
    victim = copy / "images" / "frame_000003.png"
    cv2.imwrite(str(victim), np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(BadPosedInput, match="20x20"):
        next(v for v in load_dataset(copy).views if v.name == victim.name).image()
    victim.unlink()
    with pytest.raises(BadPosedInput, match="missing"):
        next(v for v in load_dataset(copy).views if v.name == victim.name).image()
    (copy / "colmap" / "images.bin").write_bytes(b"nonsense")
    with pytest.raises(BadPosedInput, match="no COLMAP model"):
        load_dataset(copy)


def test_lens_distortion_is_refused(copy: Path) -> None:
    model = pycolmap.Reconstruction(str(copy / "colmap"))
    camera = model.cameras[1]
    fx, _, cx, cy = camera.params
    camera.model = pycolmap.CameraModelId.SIMPLE_RADIAL
    camera.params = [fx, cx, cy, 0.01]
    model.write(str(copy / "colmap"))
    with pytest.raises(BadPosedInput, match="undistort"):
        load_dataset(copy)
