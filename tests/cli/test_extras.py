"""Size, subject, mesh and turntable from the command line: which steps are run, what they are told, and what is found again."""

from pathlib import Path

import pytest

from tests.cli.conftest import StandIns

ALL = ("--remove-background", "--apriltag-size-mm", "95.5", "--mesh")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_text("a clip")
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_text("network")
    return path


def steps(stand_ins: StandIns) -> list[str]:
    return [line for line in stand_ins.calls() if " " not in line]


def test_all_steps_in_their_order(stand_ins: StandIns, clip: Path, tmp_path: Path, model: Path) -> None:
    done = stand_ins.command.run("run", clip, "--out", tmp_path / "out", *ALL, STAND_IN_MODEL=str(model))
    assert done.returncode == 0, done.stderr
    calls = stand_ins.calls()
    assert [c for c in calls if " " not in c] == ["extract", "mask", "sfm", "scale", "train", "mesh", "export"]
    assert any(c.startswith("sfm with") and c.endswith("u2netp net.onnx") for c in calls)
    assert "mesh in 0.0955" in calls
    assert 'export with {"metres_per_unit": 0.0955}' in calls
    assert (tmp_path / "out" / "mesh.glb").is_file()
    for line in ("remove-background", "mask-model", "apriltag-size-mm", "apriltag-family", "mesh"):
        assert f"  {line} " in done.stdout


def test_another_size_of_tags_trains_nothing_again(
    stand_ins: StandIns, clip: Path, tmp_path: Path, model: Path
) -> None:
    def run(*options: object) -> list[str]:
        done = stand_ins.command.run(
            "run", clip, "--out", tmp_path / "out", "--resume", *options, STAND_IN_MODEL=str(model)
        )
        assert done.returncode == 0, done.stderr
        return steps(stand_ins)

    run(*ALL)
    assert run(*ALL) == ["export"]
    assert run("--remove-background", "--apriltag-size-mm", "60", "--mesh") == ["scale", "mesh", "export"]
    model.write_text("another network")
    assert run("--remove-background", "--apriltag-size-mm", "60") == ["mask", "sfm", "scale", "train", "export"]
    assert not (tmp_path / "out" / "mesh.glb").exists(), "it belonged to the result that was replaced"
    assert list((tmp_path / "out" / ".splatflow" / "mesh").glob("*")) == []


def test_a_missing_model_is_told_before_any_work(stand_ins: StandIns, clip: Path, tmp_path: Path) -> None:
    done = stand_ins.command.run("run", clip, "--out", tmp_path / "out", *ALL, REMBG_HOME=str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error [mask_model_missing]: ")
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere" / "u2netp.onnx").write_text("no network")
    done = stand_ins.command.run("run", clip, "--out", tmp_path / "out", *ALL, REMBG_HOME=str(tmp_path / "nowhere"))
    assert done.stderr.splitlines()[-1].startswith("error [mask_model_unusable]: ")
    assert stand_ins.calls() == []
    assert not (tmp_path / "out").exists()


def test_a_turntable_is_made_again_alone(stand_ins: StandIns, clip: Path, tmp_path: Path) -> None:
    def run(*options: object) -> list[str]:
        done = stand_ins.command.run("run", clip, "--out", tmp_path / "out", "--resume", *options)
        assert done.returncode == 0, done.stderr
        return stand_ins.calls()

    usual = run("--turntable")
    assert [c for c in usual if " " not in c] == ["extract", "sfm", "train", "turntable", "export"]
    assert "turntable of 6.0 s at 960, auto" in usual
    assert (tmp_path / "out" / "turntable.mp4").is_file()
    other = run("--turntable-seconds", "2.5", "--turntable-size", "320", "--turntable-path", "sway")
    assert other == ["turntable", "turntable of 2.5 s at 320, sway", "export"]
    assert run() == ["export"]
    assert not (tmp_path / "out" / "turntable.mp4").exists(), "it belonged to the result that was replaced"


@pytest.mark.parametrize("given", ["seconds=0.5", "seconds=nan", "size=100", "size=4000", "path=spin"])
def test_a_turntable_that_cannot_be_is_refused(stand_ins: StandIns, clip: Path, tmp_path: Path, given: str) -> None:
    done = stand_ins.command.run("run", clip, "--out", tmp_path / "out", f"--turntable-{given}")
    assert (done.returncode, stand_ins.calls()) == (2, [])
    assert done.stderr.splitlines()[-1].startswith("error [bad_option]: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", ["0", "-3", "1001", "nan", "inf", "wide"])
def test_a_size_that_is_none_is_refused(stand_ins: StandIns, clip: Path, tmp_path: Path, size: str) -> None:
    done = stand_ins.command.run("run", clip, "--out", tmp_path / "out", f"--apriltag-size-mm={size}")
    assert done.returncode == 2
    assert "AprilTag size must be between 1mm and 1000mm." in done.stderr or "invalid float value" in done.stderr
    assert stand_ins.calls() == []


def test_an_unknown_family_is_refused(stand_ins: StandIns, clip: Path, tmp_path: Path) -> None:
    options = ("--apriltag-size-mm", "60", "--apriltag-family", "tagWorld")
    done = stand_ins.command.run("run", clip, "--out", tmp_path / "out", *options)
    assert (done.returncode, stand_ins.calls()) == (2, [])
    assert done.stderr.splitlines()[-1].startswith("error [bad_option]: ")
