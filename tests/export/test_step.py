"""The result folder: all of it or nothing, agreeing with what it was made from."""

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest

from tasks.errors import BadPosedInput, BadScene, DiskFull, OutputUnwritable
from tasks.export.folder import scaled_size
from tasks.export.options import ReportContext
from tasks.export.report import plain
from tasks.export.step import export
from tasks.gaussians.ply import read_ply
from tasks.gaussians.spz import unpack
from tests.export.folders import extract_record, posed_folder, train_record, trained_folder

NAMES = [f"frame_{i:03d}.jpg" for i in range(17)]
HELD_OUT = NAMES[::8]


def quiet(done: int, total: int, message: str) -> None:
    assert 0 <= done <= total
    assert message


def context(**changes: object) -> ReportContext:
    given = {
        "source": "clip.mp4",
        "extract": extract_record(NAMES),
        "stages": {
            "extract": {"seconds": 1.5, "peak_memory_bytes": 300_000_000, "reused": False},
            "sfm": {"seconds": 20.0, "peak_memory_bytes": 900_000_000_000, "reused": True},
            "train": {"seconds": 13.0, "peak_memory_bytes": 700_000_000, "reused": False},
        },
        "warnings": ("mind the gap", "The clip is short."),
        "versions": {"splatflow": "0.1.0"},
        "preset": "quick",
        "options": {"steps": 300, "threads": None},
        "machine": {"cores": 2},
        **changes,
    }
    return ReportContext(**given)  # type: ignore[arg-type]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    posed = posed_folder(tmp_path / "posed", NAMES)
    return trained_folder(tmp_path / "trained", posed, HELD_OUT), posed


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_result_holds_everything_and_the_inputs_stay(folders: tuple[Path, Path], tmp_path: Path) -> None:
    trained, posed = folders
    before = contents(trained), contents(posed)
    record = export(trained, posed, tmp_path / "new" / "out", context(), quiet)
    out = tmp_path / "new" / "out"
    assert (contents(trained), contents(posed)) == before
    assert [p.name for p in out.parent.iterdir()] == ["out"]
    top = {p.name for p in out.iterdir()}
    assert top == {
        *("scene.ply", "scene.spz", "preview.jpg", "camera.json", "views.zip", "images", "colmap"),
        *("report.json", "report.html"),
    }
    assert contents(out / "images") == contents(posed / "images")
    assert contents(out / "colmap") == contents(posed / "colmap")
    assert (out / "scene.ply").read_bytes() == (trained / "scene.ply").read_bytes()
    assert json.loads((out / "camera.json").read_text()) == json.loads((trained / "camera.json").read_text())
    assert cv2.imread(str(out / "preview.jpg")).shape == (48, 64, 3)
    spz = unpack((out / "scene.spz").read_bytes(), "scene.spz")
    assert (spz.version, len(spz.positions)) == (3, len(read_ply(out / "scene.ply")))
    assert (record.num_gaussians, record.images) == (50, 17)
    assert record.files_bytes["scene.ply"] == (out / "scene.ply").stat().st_size


def test_report_has_what_readers_rely_on(folders: tuple[Path, Path], tmp_path: Path) -> None:
    trained, posed = folders
    export(trained, posed, tmp_path / "out", context(), quiet)
    report = json.loads((tmp_path / "out" / "report.json").read_text(), parse_constant=pytest.fail)
    assert (report["schema"], report["schema_version"]) == ("splatflow/report", 1)
    evaluation = report["evaluation"]
    assert evaluation["held_out"] == HELD_OUT
    assert (evaluation["psnr_db"], evaluation["ssim"]) == (28.9, 0.91)
    assert (evaluation["width"], evaluation["height"]) == (64, 48)
    sfm = report["sfm"]
    assert (sfm["frames_given"], sfm["frames_registered"], sfm["points"]) == (18, 17, 60)
    assert (sfm["reprojection_error_px"], sfm["method"], len(sfm["attempts"])) == (0.42, "glomap", 1)
    assert sfm["not_registered"] == ["lost.jpg"]
    training = report["training"]
    assert (training["steps"], training["num_gaussians"], training["device"]) == (300, 50, "cpu (portable)")
    assert (training["seconds"], training["seconds_per_step"]) == (12.5, 0.04)
    assert {name: s["seconds"] for name, s in report["stages"].items() if name != "export"} == {
        "extract": 1.5,
        "sfm": 20.0,
        "train": 13.0,
    }
    assert 0 < report["stages"]["export"]["seconds"] < 60
    assert report["stages"]["export"]["peak_memory_bytes"] > 1_000_000
    assert report["peak_memory_bytes"] == 900_000_000_000
    assert report["warnings"] == [
        *("The clip is short.", "One frame has no pose.", "Only a few views to train on.", "mind the gap")
    ]
    assert report["scene"]["world_from_sfm"] == np.eye(4).tolist()
    assert report["scene"]["frames"]["scene.spz"] == "RUB"
    assert (report["preset"], report["options"]) == ("quick", {"steps": 300, "threads": None})


def test_files_of_the_report_are_those_on_disk(folders: tuple[Path, Path], tmp_path: Path) -> None:
    trained, posed = folders
    out = tmp_path / "out"
    export(trained, posed, out, context(), quiet)
    files = json.loads((out / "report.json").read_text())["files"]
    for name, entry in files.items():
        if not name.endswith("/"):
            data = (out / name).read_bytes()
            assert (entry["bytes"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest()), name
    assert files["images/"]["files"] == 17
    listed = {name for name in files if not name.endswith("/")}
    assert listed == {name for name in contents(out) if not name.startswith(("images", "report."))}


def test_given_poses_are_reported_as_such(tmp_path: Path) -> None:
    posed = posed_folder(tmp_path / "posed", NAMES, sfm=False)
    (posed / "sfm.json").write_text('{"method": 5, "frames_given": "many"}')  # some other program's
    trained = trained_folder(tmp_path / "trained", posed, HELD_OUT)
    stages = {"train": {"seconds": 13.0, "peak_memory_bytes": 700}}
    export(trained, posed, tmp_path / "out", context(extract=None, stages=stages), quiet)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["extract"] is None
    assert report["stages"]["extract"] is None
    assert report["stages"]["sfm"] is None
    assert (report["sfm"]["method"], report["sfm"]["frames_given"], report["sfm"]["frames_registered"]) == (
        "given",
        17,
        17,
    )
    assert report["sfm"]["points"] == 60
    assert 0 <= (report["sfm"]["reprojection_error_px"] or 0) < 0.01
    page = (tmp_path / "out" / "report.html").read_text()
    assert "poses were given" in page


def test_only_our_own_files_are_shared(tmp_path: Path) -> None:
    posed = posed_folder(tmp_path / "posed", NAMES)
    trained = trained_folder(tmp_path / "trained", posed, HELD_OUT)
    export(trained, posed, tmp_path / "ours", context(), quiet)
    export(trained, posed, tmp_path / "theirs", context(extract=None), quiet)
    for folder, shared in ((tmp_path / "ours", True), (tmp_path / "theirs", False)):
        for name in (f"images/{NAMES[0]}", "colmap/cameras.bin"):
            assert (folder / name).samefile(posed / name) == shared, (folder, name)


def test_large_views_are_scaled_down_and_the_model_with_them(tmp_path: Path) -> None:
    names = NAMES[:4]
    posed = posed_folder(tmp_path / "posed", names, width=2000, height=1501, points=10, sfm=False)
    trained = trained_folder(tmp_path / "trained", posed, names[:1])
    export(trained, posed, tmp_path / "out", context(extract=None), quiet)
    assert scaled_size(2000, 1501) == (1600, 1201)
    model = pycolmap.Reconstruction(tmp_path / "out" / "colmap")
    before = pycolmap.Reconstruction(posed / "colmap")
    camera = model.cameras[1]
    assert (camera.width, camera.height) == (1600, 1201)
    assert np.allclose(camera.params, [1600, 2000 * 1201 / 1501, 800, 1201 / 2])
    for image in model.images.values():
        assert cv2.imread(str(tmp_path / "out" / "images" / image.name)).shape == (1201, 1600, 3)
        points = np.array([p.xy for p in image.points2D])
        old = np.array([p.xy for p in before.images[image.image_id].points2D])
        assert np.allclose(points, old * [0.8, 1201 / 1501])
        assert np.allclose(image.cam_from_world().matrix(), before.images[image.image_id].cam_from_world().matrix())


def test_names_in_folders_are_kept(tmp_path: Path) -> None:
    names = ["left/a.jpg", "left/b.jpg", "right/a.jpg"]
    posed = posed_folder(tmp_path / "posed", names)
    trained = trained_folder(tmp_path / "trained", posed, names[:1])
    export(trained, posed, tmp_path / "out", context(), quiet)
    assert set(contents(tmp_path / "out" / "images")) == set(names)
    assert "no picture" not in (tmp_path / "out" / "report.html").read_text()


def broken(kind: str, trained: Path, posed: Path) -> None:
    actions: dict[str, Callable[[], object]] = {
        "no scene": (trained / "scene.ply").unlink,
        "a damaged scene": lambda: (trained / "scene.ply").write_bytes(b"ply\n"),
        "no record": (trained / "train.json").unlink,
        "a damaged record": lambda: (trained / "train.json").write_text("{"),
        "a record that is a list": lambda: (trained / "train.json").write_text("[]"),
        "no preview": (trained / "preview.png").unlink,
        "no camera": (trained / "camera.json").unlink,
        "no model": (posed / "colmap" / "images.bin").unlink,
        "an image missing": (posed / "images" / NAMES[3]).unlink,
    }
    actions[kind]()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        *((kind, BadScene) for kind in ("no scene", "a damaged scene", "no record", "a damaged record")),
        *((kind, BadScene) for kind in ("a record that is a list", "no preview", "no camera")),
        *((kind, BadPosedInput) for kind in ("no model", "an image missing")),
    ],
)
def test_what_is_not_whole_is_refused_and_leaves_nothing(
    folders: tuple[Path, Path], tmp_path: Path, kind: str, error: type[Exception]
) -> None:
    trained, posed = folders
    broken(kind, trained, posed)
    with pytest.raises(error, match="; "):
        export(trained, posed, tmp_path / "out", context(), quiet)
    assert {p.name for p in tmp_path.iterdir()} == {"posed", "trained"}


def test_a_name_that_leads_out_is_refused(tmp_path: Path) -> None:
    posed = posed_folder(tmp_path / "posed", NAMES[:3])
    trained = trained_folder(tmp_path / "trained", posed, NAMES[:1])
    model = pycolmap.Reconstruction(posed / "colmap")
    model.images[2].name = "../../secret.jpg"
    model.write(posed / "colmap")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    with pytest.raises(BadPosedInput, match="leads out"):
        export(trained, posed, tmp_path / "out", context(), quiet)


def test_a_folder_in_use_is_left_alone(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "diary.txt").write_text("dear")
    with pytest.raises(OutputUnwritable, match="isn't empty"):
        export(*folders, tmp_path / "out", context(), quiet)
    assert contents(tmp_path / "out") == {"diary.txt": b"dear"}
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputUnwritable):
        export(*folders, tmp_path / "file", context(), quiet)
    with pytest.raises(OutputUnwritable):
        export(*folders, tmp_path / "file" / "out", context(), quiet)


def test_stopping_at_any_moment_leaves_nothing(folders: tuple[Path, Path], tmp_path: Path) -> None:
    class Stop(BaseException):
        pass

    calls: list[str] = []
    export(*folders, tmp_path / "whole", context(), lambda d, t, m: calls.append(m))
    for moment in range(0, len(calls), 3):
        seen = 0

        def progress(done: int, total: int, message: str, moment: int = moment) -> None:
            nonlocal seen
            seen += 1
            if seen > moment:
                raise Stop

        with pytest.raises(Stop):
            export(*folders, tmp_path / "out", context(), progress)
        assert {p.name for p in tmp_path.iterdir()} == {"posed", "trained", "whole"}


def test_what_a_killed_run_left_is_replaced(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "scene.ply").write_text("half")
    export(*folders, tmp_path / "out", context(), quiet)
    assert {p.name for p in tmp_path.iterdir()} == {"posed", "trained", "out"}


def test_a_full_disk_is_named(folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFull, match="free some space"):
        export(*folders, tmp_path / "out", context(), quiet)
    assert {p.name for p in tmp_path.iterdir()} == {"posed", "trained"}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_refused_folder_is_named(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(path: Path, *args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputUnwritable, match="choose a place that you may write to"):
        export(*folders, tmp_path / "out", context(), quiet)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_forbidden_place_is_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(OutputUnwritable):
        export(*folders, tmp_path / "locked" / "out", context(), quiet)


def test_what_is_not_finite_becomes_null(folders: tuple[Path, Path], tmp_path: Path) -> None:
    trained, posed = folders
    train = train_record(HELD_OUT)
    train["evaluation"]["psnr_db"] = float("nan")
    train["history"][0]["loss"] = float("inf")
    machine = {"load": np.float32(0.5), "numbers": np.array([1.0, np.nan]), "path": Path("x")}
    export(trained, posed, tmp_path / "out", context(train=train, machine=machine), quiet)
    report = json.loads((tmp_path / "out" / "report.json").read_text(), parse_constant=pytest.fail)
    assert report["evaluation"]["psnr_db"] is None
    assert report["training"]["history"][0]["loss"] is None
    assert report["machine"] == {"load": 0.5, "numbers": [1.0, None], "path": "x"}


def test_plain_keeps_what_json_has() -> None:
    value = {"a": [1, 2.5, True, None, "x"], "b": {"c": "d"}}
    assert plain(value) == value
    assert plain({1: (np.int64(3), {4})}) == {"1": [3, [4]]}
