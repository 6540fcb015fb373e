"""What background removal, tags and the mesh add to a result; above all that everything in it is in one unit."""

import json
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest

from tasks.errors import BadScene
from tasks.export.extras import spz_bits
from tasks.export.options import Extras
from tasks.export.pictures import comparisons, data_uri, heat, on_ground
from tasks.export.step import export
from tasks.export.subjects import MOST, OUTSIDE, cut_outs, darkened
from tasks.gaussians.ground import NEUTRAL_GROUND
from tasks.gaussians.ply import read_ply
from tasks.gaussians.spz import read_spz, unpack
from tests.export.folders import posed_folder, trained_folder
from tests.export.test_step import HELD_OUT, NAMES, contents, context, quiet

FACTOR = 0.37
SCALED = {
    "status": "scaled",
    "metres_per_unit": FACTOR,
    "relative_uncertainty": 0.0021,
    "interval_95": [0.3684, 0.3716],
    "tag_size_mm": 95.6,
    "family": "tagStandard41h12",
    "views_used": 9,
    "tags": [
        {"id": 0, "views": 9, "used": True, "metres_per_unit": FACTOR, "residual_px": 0.2, "reason": None},
        {
            "id": 3,
            "views": 4,
            "used": False,
            "metres_per_unit": 0.74,
            "residual_px": 0.3,
            "reason": "<b>twice as large</b>",
        },
    ],
    "warnings": ["Tag 3 is printed in another size."],
}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    posed = posed_folder(tmp_path / "posed", NAMES)
    return trained_folder(tmp_path / "trained", posed, HELD_OUT), posed


def told(folder: Path, name: str, record: dict[str, object]) -> Path:
    folder.mkdir()
    (folder / name).write_text(json.dumps(record))
    return folder


def test_with_a_scale_everything_is_in_metres(folders: tuple[Path, Path], tmp_path: Path) -> None:
    trained, posed = folders
    before = contents(trained), contents(posed)
    out = tmp_path / "out"
    export(trained, posed, out, context(), quiet, extras=Extras(scale=told(tmp_path / "scale", "scale.json", SCALED)))
    assert (contents(trained), contents(posed)) == before
    own, metric = read_ply(trained / "scene.ply"), read_ply(out / "scene.ply")
    np.testing.assert_allclose(metric.means, own.means * FACTOR, rtol=1e-6)
    np.testing.assert_allclose(np.exp(metric.scales), np.exp(own.scales) * FACTOR, rtol=1e-5)
    for name in ("quats", "opacities", "sh_coeffs"):
        np.testing.assert_array_equal(getattr(metric, name), getattr(own, name))
    packed = read_spz(out / "scene.spz")
    np.testing.assert_allclose(packed.means, metric.means, atol=2.0**-13)
    a, b = pycolmap.Reconstruction(posed / "colmap"), pycolmap.Reconstruction(out / "colmap")
    for key, image in a.images.items():
        pose, moved = image.cam_from_world().matrix(), b.images[key].cam_from_world().matrix()
        np.testing.assert_allclose(moved[:, :3], pose[:, :3], atol=1e-12)
        np.testing.assert_allclose(moved[:, 3], pose[:, 3] * FACTOR, atol=1e-12)
    for key, point in a.points3D.items():
        np.testing.assert_allclose(b.points3D[key].xyz, point.xyz * FACTOR, atol=1e-12)
    assert b.compute_mean_reprojection_error() == pytest.approx(a.compute_mean_reprojection_error(), abs=1e-6)
    camera, framed = (json.loads((folder / "camera.json").read_text()) for folder in (trained, out))
    for name in ("position", "lookAt"):
        assert framed[name] == {axis: pytest.approx(v * FACTOR) for axis, v in camera[name].items()}
    assert framed["up"] == camera["up"]
    report = json.loads((out / "report.json").read_text())
    assert report["camera"] == framed
    assert (report["scene"]["unit"], report["scene"]["metres_per_unit"]) == ("metre", 1.0)
    assert report["scale"] == {key: value for key, value in SCALED.items() if key != "warnings"}
    assert np.allclose(report["scene"]["world_from_sfm"], np.diag([FACTOR, FACTOR, FACTOR, 1.0]))
    assert "Tag 3 is printed in another size." in report["warnings"]
    page = (out / "report.html").read_text()
    assert "True size" in page
    assert "&lt;b&gt;twice as large&lt;/b&gt;" in page


def test_without_a_tag_the_scene_keeps_its_unit(folders: tuple[Path, Path], tmp_path: Path) -> None:
    trained, posed = folders
    unscaled = {"status": "no_tags", "metres_per_unit": None, "tags": [], "warnings": ["No tag was found."]}
    extras = Extras(scale=told(tmp_path / "scale", "scale.json", unscaled))
    export(trained, posed, tmp_path / "out", context(), quiet, extras=extras)
    assert (tmp_path / "out" / "scene.ply").samefile(trained / "scene.ply")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["scale"]["status"], report["scene"]["metres_per_unit"]) == ("no_tags", None)
    assert "No tag was found." in report["warnings"]
    assert "No tag was found: the scene keeps its own unit." in (tmp_path / "out" / "report.html").read_text()


def test_small_scenes_in_metres_keep_their_detail_in_spz(folders: tuple[Path, Path], tmp_path: Path) -> None:
    trained, posed = folders
    tiny = told(tmp_path / "scale", "scale.json", {**SCALED, "metres_per_unit": 0.003})
    export(trained, posed, tmp_path / "out", context(), quiet, extras=Extras(scale=tiny))
    streams = unpack((tmp_path / "out" / "scene.spz").read_bytes(), "scene.spz")
    assert streams.fractional_bits == 20
    own = read_ply(trained / "scene.ply").means
    np.testing.assert_allclose(read_spz(tmp_path / "out" / "scene.spz").means / 0.003, own, atol=2.0**-12)


@pytest.mark.parametrize(("factor", "bits"), [(None, 12), (1.0, 12), (7.0, 12), (0.5, 13), (0.26, 14), (1e-9, 20)])
def test_bits_follow_the_unit(factor: float | None, bits: int) -> None:
    assert spz_bits(factor) == bits


@pytest.mark.parametrize("factor", [0, -1.0, True, "2"])
def test_a_factor_that_is_none_is_refused(folders: tuple[Path, Path], tmp_path: Path, factor: object) -> None:
    scale = told(tmp_path / "scale", "scale.json", {**SCALED, "metres_per_unit": factor})
    with pytest.raises(BadScene):
        export(*folders, tmp_path / "out", context(), quiet, extras=Extras(scale=scale))
    assert not (tmp_path / "out").exists()


def test_records_that_are_missing_are_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(BadScene, match=r"mask\.json"):
        export(*folders, tmp_path / "out", context(), quiet, extras=Extras(mask=tmp_path))


def test_masks_and_mesh_are_in_the_result(tmp_path: Path) -> None:
    posed = posed_folder(tmp_path / "posed", NAMES, width=1800, height=90)
    (posed / "masks").mkdir()
    mask = np.zeros((90, 1800), np.uint8)
    mask[20:70, 400:1400] = 255
    for name in NAMES:
        cv2.imwrite(str((posed / "masks" / name).with_suffix(".png")), mask)
    trained = trained_folder(tmp_path / "trained", posed, HELD_OUT)
    record = json.loads((trained / "train.json").read_text())
    record["evaluation"]["masked"] = {"psnr_db": 31.5, "band_psnr_db": 24.25}
    (trained / "train.json").write_text(json.dumps(record))
    masked = told(tmp_path / "mask", "mask.json", {"model": "u2netp", "mended": ["a.jpg"], "background": "moves"})
    mesh = told(
        tmp_path / "mesh",
        "mesh.json",
        {
            "faces": 1234,
            "vertices": 700,
            "between_views": {"median": 0.0042, "p95": 0.031},
            "warnings": ["It has holes."],
        },
    )
    (mesh / "mesh.glb").write_bytes(b"glTF")
    stages = {"mask": {"seconds": 4.0}, "mesh": {"seconds": 5.0}, "train": {"seconds": 6.0}}
    out = tmp_path / "out"
    export(trained, posed, out, context(stages=stages), quiet, extras=Extras(mask=masked, mesh=mesh))
    first = cv2.imread(str((out / "masks" / NAMES[0]).with_suffix(".png")), cv2.IMREAD_GRAYSCALE)
    assert first is not None
    assert first.shape == cv2.imread(str(out / "images" / NAMES[0])).shape[:2] == (80, 1600)
    assert (out / "mesh.glb").read_bytes() == b"glTF"
    report = json.loads((out / "report.json").read_text())
    assert (report["files"]["mesh.glb"]["bytes"], report["files"]["masks/"]["files"]) == (4, len(NAMES))
    assert list(report["stages"]) == ["extract", "mask", "sfm", "train", "mesh", "export"]
    assert (report["mask"]["model"], report["mesh"]["faces"]) == ("u2netp", 1234)
    assert "It has holes." in report["warnings"]
    page = (out / "report.html").read_text()
    for said in ("PSNR of the subject", "31.50", "24.25 dB", "Removing the background", "1\u202f234", "0.42 %"):
        assert said in page
    assert page.count("with its background darkened") == MOST


def test_a_turntable_is_in_the_result(folders: tuple[Path, Path], tmp_path: Path) -> None:
    record = {"path": "orbit", "seconds": 6.0, "fps": 30, "width": 960, "height": 540, "warnings": ["Nobody filmed."]}
    turned = told(tmp_path / "turntable", "turntable.json", record)
    (turned / "turntable.mp4").write_bytes(b"video")
    (turned / "poster.jpg").write_bytes(b"first")
    out = tmp_path / "out"
    stages = {"turntable": {"seconds": 5.0}, "train": {"seconds": 6.0}}
    export(*folders, out, context(stages=stages), quiet, extras=Extras(turntable=turned))
    assert ((out / "turntable.mp4").read_bytes(), (out / "poster.jpg").read_bytes()) == (b"video", b"first")
    report = json.loads((out / "report.json").read_text())
    assert [report["files"][name]["bytes"] for name in ("turntable.mp4", "poster.jpg")] == [5, 5]
    assert (report["turntable"]["path"], list(report["stages"])[-2:]) == ("orbit", ["turntable", "export"])
    assert "Nobody filmed." in report["warnings"]
    assert "all around what the cameras look at" in (out / "report.html").read_text()


def test_the_background_is_darkened() -> None:
    alpha = np.array([[0, 255]], np.uint8)
    shown = darkened(np.full((1, 2, 3), 200, np.uint8), alpha)
    assert shown[0, :, 0].tolist() == [round(200 * OUTSIDE), 200]


def test_pictures_that_do_not_fit_are_left_out(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((8, 8, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), np.zeros((4, 8), np.uint8))
    assert cut_outs(tmp_path / "images", tmp_path / "masks", ["a.png", "b.png"]) == []
    assert cut_outs(tmp_path / "images", tmp_path / "masks", []) == []


def test_a_subject_is_compared_with_the_photo_without_its_background(tmp_path: Path) -> None:
    for folder in ("images", "renders", "masks"):
        (tmp_path / folder).mkdir()
    photo = np.full((40, 60, 3), 30, np.uint8)
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:40] = 255
    shown = on_ground(photo, mask)
    assert shown[0, 0].tolist() == [round(255 * NEUTRAL_GROUND)] * 3
    assert shown[20, 30].tolist() == [30] * 3
    for folder, picture in (("images", photo), ("renders", shown), ("masks", mask)):
        cv2.imwrite(str(tmp_path / folder / "a.png"), picture)
    (one,) = comparisons(tmp_path / "images", tmp_path / "renders", ["a.png"], tmp_path / "masks")
    assert one.difference == data_uri(heat(np.zeros((40, 60), np.float32)))
    (other,) = comparisons(tmp_path / "images", tmp_path / "renders", ["a.png"])
    assert other.difference != one.difference


def test_the_masks_that_training_made_agree_go_before_those_of_the_views(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    trained, posed = folders
    for folder, value in ((posed, 10), (trained, 200)):
        (folder / "masks").mkdir()
        for name in NAMES:
            cv2.imwrite(str((folder / "masks" / name).with_suffix(".png")), np.full((48, 64), value, np.uint8))
    export(trained, posed, tmp_path / "out", context(), quiet)
    shown = cv2.imread(str((tmp_path / "out" / "masks" / NAMES[3]).with_suffix(".png")), cv2.IMREAD_GRAYSCALE)
    assert shown is not None
    assert (shown == 200).all()
