"""`splatflow evaluate` on results that were trained and judged before."""

import json
import shutil
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from cli.main import main
from tasks.gaussians.ply import read_ply, write_ply
from tasks.train.options import TrainOptions
from tasks.train.step import train
from tests.support.subject import write_subject

OPTIONS = TrainOptions(steps=60, max_gaussians=1_500, train_side_px=96, device="cpu", threads=2)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result without masks, as far as judging it asks for one; its masks lie beside it."""
    folder = tmp_path_factory.mktemp("evaluate") / "result"
    write_subject(folder)
    shutil.move(folder / "masks", folder.parent / "masks")
    train(folder, folder.parent / "trained", OPTIONS, lambda done, total, message: None)
    shutil.copy(folder.parent / "trained" / "scene.ply", folder / "scene.ply")
    trained = json.loads((folder.parent / "trained" / "train.json").read_text())
    report = {"evaluation": trained["evaluation"], "training": {"options": trained["options"]}, "scale": None}
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def judged(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict:
    main(["evaluate", *map(str, arguments), "--device", "cpu", "--json"])
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", *map(str, arguments), "--device", "cpu"])
    assert stop.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_agrees_with_the_report(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = judged(capsys, result)
    assert found["evaluation"]["psnr_db"] == pytest.approx(found["claimed"]["psnr_db"], abs=0.001)
    assert found["evaluation"]["ssim"] == pytest.approx(found["claimed"]["ssim"], abs=1e-4)
    assert found["masked"] is None


def test_judges_within_masks_that_lie_elsewhere_or_in_the_result(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = judged(capsys, result, "--masks", result.parent / "masks")["masked"]
    assert 10 < elsewhere["psnr_db"] < 100
    assert 0.1 < elsewhere["coverage"] < 0.4
    assert len(elsewhere["views"]) == 3
    own = Path(shutil.copytree(result, tmp_path / "own"))
    shutil.copytree(result.parent / "masks", own / "masks")
    assert judged(capsys, own)["masked"] == elsewhere


@pytest.mark.parametrize("factor", [1e-3, 250.0])
def test_metres_change_nothing(result: Path, tmp_path: Path, factor: float, capsys: pytest.CaptureFixture[str]) -> None:
    scaled = Path(shutil.copytree(result, tmp_path / "scaled"))
    model = pycolmap.Reconstruction(str(scaled / "colmap"))
    model.transform(pycolmap.Sim3d(factor, pycolmap.Rotation3d(), np.zeros(3)))
    model.write(str(scaled / "colmap"))
    gaussians = read_ply(scaled / "scene.ply")
    gaussians.means[:] *= np.float32(factor)
    gaussians.scales[:] += np.float32(np.log(factor))
    write_ply(scaled / "scene.ply", gaussians)
    report = json.loads((scaled / "report.json").read_text())
    (scaled / "report.json").write_text(json.dumps({**report, "scale": {"metres_per_unit": factor}}))
    masks = result.parent / "masks"
    before, after = judged(capsys, result, "--masks", masks), judged(capsys, scaled, "--masks", masks)
    assert after["evaluation"]["psnr_db"] == pytest.approx(before["evaluation"]["psnr_db"], abs=0.01)
    assert after["masked"]["psnr_db"] == pytest.approx(before["masked"]["psnr_db"], abs=0.01)
    assert after["masked"]["volume_inside"] == pytest.approx(before["masked"]["volume_inside"], abs=1e-3)


def test_says_it_to_people(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["evaluate", str(result), "--masks", str(result.parent / "masks"), "--device", "cpu"])
    told = capsys.readouterr().out
    for word in ("whole picture", "within masks", "volume inside the masks", "frame_000008.png", "the report"):
        assert word in told


def test_without_a_report_every_8th_view_is_judged(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = Path(shutil.copytree(result, tmp_path / "bare", ignore=shutil.ignore_patterns("report.json")))
    found = judged(capsys, bare)
    assert found["claimed"] is None
    assert [view["name"] for view in found["evaluation"]["views"]] == [f"frame_{i:06d}.png" for i in (0, 8, 16)]


def test_what_is_no_result_is_refused(result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, tmp_path / "nothing").startswith("error [bad_posed_input]")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refused(capsys, empty).startswith("error [bad_scene]")
    assert refused(capsys, result, "--masks", tmp_path / "nothing").startswith("error [bad_posed_input]")
    assert refused(capsys, result, "--masks", empty).startswith("error [bad_posed_input]")
    broken = Path(shutil.copytree(result, tmp_path / "broken"))
    (broken / "report.json").write_text("{")
    assert refused(capsys, broken).startswith("error [bad_scene]")
