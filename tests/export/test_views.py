"""views.zip: the held-out photos and their cameras, as a viewer has them."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycolmap
import pytest

from tasks.export.options import Extras
from tasks.export.step import export
from tasks.export.views import MOST, evenly
from tasks.gaussians.ground import NEUTRAL_GROUND
from tests.export.folders import posed_folder, trained_folder
from tests.export.test_step import HELD_OUT, NAMES, context, quiet

FACTOR = 0.37


def views_of(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with zipfile.ZipFile(path) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        told = json.loads(archive.read("views.json"))
        pictures = {view["file"]: _decoded(archive.read(view["file"])) for view in told["views"]}
        assert set(archive.namelist()) == {"views.json", *pictures}
    return told, pictures


def _decoded(data: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


def seen_by_a_viewer(view: dict[str, Any], point: np.ndarray) -> np.ndarray:
    """The pixel of a point (3,) in the Y-up world, by the words of docs/formats.md alone: the camera looks along -z, y is up."""
    x, y, z, _ = np.linalg.inv(np.array(view["world_from_camera"])) @ [*point, 1]
    assert z < 0
    return np.array([view["cx"] + view["fx"] * x / -z, view["cy"] - view["fy"] * y / -z])


@pytest.mark.parametrize(("width", "factor"), [(64, None), (2400, FACTOR)])
def test_a_point_is_seen_where_the_model_sees_it(tmp_path: Path, width: int, factor: float | None) -> None:
    """Also where photos are scaled down twice, and where all is in metres."""
    posed = posed_folder(tmp_path / "posed", NAMES, width=width, height=90)
    trained = trained_folder(tmp_path / "trained", posed, HELD_OUT)
    extras = Extras()
    if factor is not None:
        (tmp_path / "scale.json").write_text(json.dumps({"metres_per_unit": factor}))
        extras = Extras(scale=tmp_path)
    export(trained, posed, tmp_path / "out", context(), quiet, extras=extras)
    told, pictures = views_of(tmp_path / "out" / "views.zip")
    assert (told["version"], told["frame"]) == (1, "RUB")
    assert [view["name"] for view in told["views"]] == HELD_OUT
    model = pycolmap.Reconstruction(posed / "colmap")
    for view in told["views"]:
        assert pictures[view["file"]].shape == (view["height"], view["width"], 3)
        assert max(view["width"], view["height"]) == min(max(width, 90), 960)
        (image,) = (i for i in model.images.values() if i.name == view["name"])
        for point in list(model.points3D.values())[:5]:
            pixel = image.project_point(point.xyz)
            assert pixel is not None
            wanted = pixel * [view["width"] / width, view["height"] / 90]
            found = seen_by_a_viewer(view, point.xyz * [1, -1, -1] * (factor or 1.0))
            np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_subject_is_on_the_neutral_ground(tmp_path: Path) -> None:
    posed = posed_folder(tmp_path / "posed", NAMES)
    (posed / "masks").mkdir()
    mask = np.zeros((48, 64), np.uint8)
    mask[:, 32:] = 255
    for name in NAMES:
        cv2.imwrite(str((posed / "masks" / name).with_suffix(".png")), mask)
    trained = trained_folder(tmp_path / "trained", posed, HELD_OUT)
    export(trained, posed, tmp_path / "out", context(), quiet)
    told, pictures = views_of(tmp_path / "out" / "views.zip")
    for view in told["views"]:
        photo, shown = cv2.imread(str(posed / "images" / view["name"])), pictures[view["file"]]
        assert photo is not None
        assert np.abs(shown[:, :24].astype(int) - round(255 * NEUTRAL_GROUND)).max() <= 3
        assert np.abs(shown[:, 40:].astype(int) - photo[:, 40:]).mean() < 6


def test_what_cannot_be_compared_is_left_out_and_the_bytes_stay_the_same(tmp_path: Path) -> None:
    posed = posed_folder(tmp_path / "posed", NAMES)
    trained = trained_folder(tmp_path / "trained", posed, HELD_OUT)
    record = json.loads((trained / "train.json").read_text())
    record["evaluation"]["held_out"] = ["nobody knows.jpg", *HELD_OUT]
    (trained / "train.json").write_text(json.dumps(record))
    for out in ("a", "b"):
        export(trained, posed, tmp_path / out, context(), quiet)
    data = (tmp_path / "a" / "views.zip").read_bytes()
    assert data == (tmp_path / "b" / "views.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["00.jpg", "01.jpg", "02.jpg", "views.json"]
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    assert report["files"]["views.zip"]["bytes"] == len(data)


def test_at_most_so_many_evenly_chosen() -> None:
    names = [f"{i:03d}" for i in range(200)]
    chosen = evenly(names, MOST)
    assert (len(chosen), chosen[0], chosen[-1]) == (MOST, "000", "199")
    steps = np.diff([int(name) for name in chosen])
    assert steps.max() - steps.min() <= 1
    assert evenly(names[:5], MOST) == names[:5]
