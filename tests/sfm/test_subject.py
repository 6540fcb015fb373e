"""Structure from motion with masks: a turntable with known truth, and masks that follow their images."""

import json

import cv2
import numpy as np
import pycolmap
import pytest

from tasks.errors import BadPosedInput, NoParallax, TooLittleOverlap
from tasks.geometry.pinhole import fit_pinhole
from tasks.geometry.similarity import align_points
from tasks.sfm.features import detect
from tasks.sfm.options import SfmOptions
from tasks.sfm.step import reconstruct
from tasks.sfm.subject import on_subject
from tests.support.capture_folder import write_capture
from tests.support.turning import Shot, shoot, write_masks

WIDTH, HEIGHT = 320, 240
LENS = pycolmap.Camera(
    model="OPENCV", width=WIDTH, height=HEIGHT, params=[310.0, 310.0, 160.0, 120.0, -0.05, 0.01, 0.0, 0.0]
)
QUICK = SfmOptions(max_features=1000, feature_side_px=480, num_threads=2, max_attempts=1)


def quiet(done: int, total: int, message: str) -> None:
    assert 0 <= done <= total


@pytest.fixture(scope="module")
def table() -> list[Shot]:
    """Ten views of a subject that turns by 63 degrees before a textured room and a camera that never moves."""
    return shoot(LENS, [7.0 * i for i in range(10)], table=True)


def write(folder, shots: list[Shot], *, background: str) -> None:
    write_capture(folder / "in", [shot.image for shot in shots])
    names = [f"{i:05d}" for i in range(1, len(shots) + 1)]
    write_masks(folder / "mask", names, [shot.alpha for shot in shots], background=background)


@pytest.fixture(scope="module")
def posed(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    write(folder, table, background="stands_still")
    record = reconstruct(folder / "in", folder / "out", QUICK, quiet, masks=folder / "mask")
    return record, folder / "out"


def test_whole_frames_of_a_turntable_give_nothing(table, tmp_path):
    write(tmp_path, table, background="moves")
    with pytest.raises((NoParallax, TooLittleOverlap)):
        reconstruct(tmp_path / "in", tmp_path / "out", QUICK, quiet, masks=tmp_path / "mask")
    assert not (tmp_path / "out").exists()


def test_the_subject_alone_gives_the_poses_of_a_turntable(posed, table):
    record, out = posed
    assert record.subject_only
    assert json.loads((out / "sfm.json").read_text())["subject_only"] is True
    assert record.frames_registered == len(table)
    model = pycolmap.Reconstruction(out / "colmap")
    images = sorted((model.images[i] for i in model.reg_image_ids()), key=lambda image: image.name)
    found = np.array([image.projection_center() for image in images])
    truth = np.array([-s.cam_from_subject[:, :3].T @ s.cam_from_subject[:, 3] for s in table])
    assert np.linalg.norm(align_points(found, truth).apply(found) - truth, axis=1).max() < 0.03  # 2.3 from the subject


def test_masks_are_undistorted_as_their_images_are(posed, table):
    """The pinhole's mask, drawn from the true alpha by another way: COLMAP's own camera, pixel by pixel."""
    _, out = posed
    facts = json.loads((out / "sfm.json").read_text())["lenses"]["1"]
    lens = pycolmap.Camera(model=facts["model"], width=facts["width"], height=facts["height"], params=facts["params"])
    pinhole = fit_pinhole(lens, QUICK.image_side_px).camera(1)
    assert sorted(p.stem for p in (out / "masks").iterdir()) == sorted(p.stem for p in (out / "images").iterdir())
    mask = cv2.imread(str(out / "masks" / "00004.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (pinhole.height, pinhole.width)
    assert mask.dtype == np.uint8
    rng = np.random.default_rng(0)
    for x, y in rng.integers(8, [pinhole.width - 8, pinhole.height - 8], (300, 2)):
        ray = pinhole.cam_from_img(np.array([[x + 0.5, y + 0.5]]))
        u, v = lens.img_from_cam(np.concatenate([ray, [[1.0]]], 1))[0] - 0.5
        i, j = int(np.floor(v)), int(np.floor(u))
        around = table[3].alpha[i : i + 2, j : j + 2].astype(float)
        expected = np.array([1 - (v - i), v - i]) @ around @ np.array([1 - (u - j), u - j])
        assert mask[y, x] == pytest.approx(expected, abs=10)  # OpenCV samples at 1/32 of a pixel


def test_masks_of_other_frames_are_refused_at_once(table, tmp_path):
    write(tmp_path, table[:4], background="moves")
    (tmp_path / "mask" / "masks" / "00003.png").unlink()
    with pytest.raises(BadPosedInput, match=r"00003\.jpg"):
        reconstruct(tmp_path / "in", tmp_path / "out", QUICK, quiet, masks=tmp_path / "mask")
    cv2.imwrite(str(tmp_path / "mask" / "masks" / "00003.png"), np.zeros((10, 10), np.uint8))
    with pytest.raises(BadPosedInput, match=r"00003\.jpg"):
        reconstruct(tmp_path / "in", tmp_path / "out", QUICK, quiet, masks=tmp_path / "mask")
    (tmp_path / "mask" / "mask.json").unlink()
    with pytest.raises(BadPosedInput, match="holds no masks"):
        reconstruct(tmp_path / "in", tmp_path / "out", QUICK, quiet, masks=tmp_path / "mask")


def test_features_stay_on_the_subject_and_are_as_many_as_asked(table):
    where = on_subject(table[0].alpha)
    found = detect(table[0].image, side_px=640, count=60, where=where)
    columns, rows = found.keypoints[:, 0].astype(int), found.keypoints[:, 1].astype(int)
    assert len(found.keypoints) == len(found.descriptors) == 60
    assert where[rows, columns].all()


def test_the_margin_is_within_the_mask():
    alpha = np.zeros((300, 400), np.uint8)
    alpha[100:200, 100:300] = 255
    inside = on_subject(alpha)
    assert not inside[:101].any()
    assert inside[105:195, 105:295].all()
