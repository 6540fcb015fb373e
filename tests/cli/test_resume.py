"""A run that was stopped or killed goes on; one that failed leaves nothing."""

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import StandIns, tree, wait_until

STEPS = ["extract", "sfm", "train", "export"]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_text("pictures")
    return path


def _expected(steps: list[str], trained_from: int = 0) -> list[str]:
    return [line for step in steps for line in ([f"train from {trained_from}", step] if step == "train" else [step])]


def _pause(stand_ins: StandIns, step: str, *arguments: object) -> "subprocess.Popen[str]":
    name = step.partition(":")[0]
    (stand_ins.log / f"at-{name}").unlink(missing_ok=True)
    process = stand_ins.command.start(*arguments, STAND_IN_PAUSE=step)
    wait_until((stand_ins.log / f"at-{name}").exists)
    return process


@pytest.mark.parametrize("step", STEPS)
def test_goes_on_after_a_kill(stand_ins: StandIns, clip: Path, tmp_path: Path, step: str) -> None:
    out = tmp_path / "out"
    process = _pause(stand_ins, step, "run", clip, "--out", out)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert not (out / "report.json").exists()
    wait_until(lambda: not any(child.is_running() for child in children))  # the step doesn't outlive the command
    stand_ins.calls()

    done = stand_ins.command.run("run", clip, "--out", out, "--resume")

    assert done.returncode == 0, done.stderr
    left = STEPS[STEPS.index(step) :]
    assert stand_ins.calls() == _expected(left, trained_from=10 if step == "train" else 0)
    assert (out / "scene.ply").read_text() == "pictures 150 3000"
    assert (out / "report.json").exists()
    assert not list((out / ".splatflow").glob("*/*.part"))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stops_within_seconds_and_says_how_to_go_on(
    stand_ins: StandIns, clip: Path, tmp_path: Path, step: str, how: signal.Signals
) -> None:
    out = tmp_path / "out"
    process = _pause(stand_ins, step, "run", clip, "--out", out)
    began = time.monotonic()
    process.send_signal(how)
    _, err = process.communicate(timeout=30)

    assert time.monotonic() - began < 5
    assert process.returncode == 130
    assert "Traceback" not in err
    stand_ins.calls()
    if step == "extract":  # nothing to go on from, so nothing is left
        assert not out.exists()
    else:
        assert "--resume" in err
    assert stand_ins.command.run("run", clip, "--out", out, "--resume").returncode == 0
    left = STEPS[STEPS.index(step) :]
    assert stand_ins.calls() == _expected(left, trained_from=10 if step == "train" else 0)


def test_a_step_deep_in_native_code_is_ended_too(stand_ins: StandIns, clip: Path, tmp_path: Path) -> None:
    process = _pause(stand_ins, "sfm:deaf", "run", clip, "--out", tmp_path / "out")
    children = psutil.Process(process.pid).children(recursive=True)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert process.returncode == 130
    assert not any(child.is_running() for child in children)


def test_only_what_an_option_changes_is_done_again(stand_ins: StandIns, clip: Path, tmp_path: Path) -> None:
    run = ["run", clip, "--out", tmp_path / "out"]
    assert stand_ins.command.run(*run).returncode == 0
    assert stand_ins.calls() == _expected(STEPS)
    for options, steps in (
        ([], ["export"]),
        (["--steps", 5], ["train", "export"]),
        (["--method", "colmap"], ["sfm", "train", "export"]),
        (["--max-frames", 7], STEPS),
    ):
        done = stand_ins.command.run(*run, "--resume", *options)
        assert done.returncode == 0, done.stderr
        assert stand_ins.calls() == _expected(steps)
    clip.write_text("other pictures")
    assert stand_ins.command.run(*run, "--resume").returncode == 0
    assert stand_ins.calls() == _expected(STEPS)
    assert (tmp_path / "out" / "scene.ply").read_text() == "other pictures 150 3000"


def test_without_resume_all_is_done_again(stand_ins: StandIns, clip: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert stand_ins.command.run("run", clip, "--out", tmp_path / "out").returncode == 0
        assert stand_ins.calls() == _expected(STEPS)


def test_a_damaged_step_is_done_again(stand_ins: StandIns, clip: Path, tmp_path: Path) -> None:
    run = ["run", clip, "--out", tmp_path / "out"]
    assert stand_ins.command.run(*run).returncode == 0
    stand_ins.calls()
    next((tmp_path / "out" / ".splatflow" / "sfm").glob("*/images/a.jpg")).unlink()
    assert stand_ins.command.run(*run, "--resume").returncode == 0
    assert stand_ins.calls() == ["sfm", "export"]  # its digest is the same, so what was trained on it still fits


def test_clean_leaves_the_result_alone(stand_ins: StandIns, clip: Path, tmp_path: Path) -> None:
    assert stand_ins.command.run("run", clip, "--out", tmp_path / "out", "--clean").returncode == 0
    assert set(tree(tmp_path / "out")) == {"images", "images/a.jpg", "report.json", "scene.ply"}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("kind", "slug"),
    [("video", "not_a_video"), ("overlap", "too_little_overlap"), ("full", "disk_full"), ("memory", "out_of_memory")],
)
def test_a_refusal_leaves_nothing_half_written(
    stand_ins: StandIns, clip: Path, tmp_path: Path, step: str, kind: str, slug: str
) -> None:
    out = tmp_path / "new" / "out"
    done = stand_ins.command.run("run", clip, "--out", out, STAND_IN_FAIL=f"{step}:{kind}")
    assert done.returncode == 2
    assert f"error [{slug}]: " in done.stderr
    if kind in ("video", "overlap") or step in ("extract", "sfm"):
        assert not out.parent.exists()
    else:  # the machine failed late: what took long is kept for --resume
        assert {p.name for p in out.iterdir()} == {".splatflow"}
        assert not list(out.rglob("half-written"))


@pytest.mark.parametrize("kind", ["video", "defect"])
@pytest.mark.parametrize("step", STEPS)
def test_an_earlier_result_survives_a_failed_run(
    stand_ins: StandIns, clip: Path, tmp_path: Path, step: str, kind: str
) -> None:
    out = tmp_path / "out"
    assert stand_ins.command.run("run", clip, "--out", out).returncode == 0
    before = {k: v for k, v in tree(out).items() if not k.startswith(".splatflow")}
    kept = {k for k in tree(out) if k.startswith(".splatflow") and not k.startswith(".splatflow/logs")}
    clip.write_text("changed")
    done = stand_ins.command.run("run", clip, "--out", out, STAND_IN_FAIL=f"{step}:{kind}")
    assert done.returncode == (1 if kind == "defect" else 2)
    assert {k: v for k, v in tree(out).items() if not k.startswith(".splatflow")} == before
    assert kept <= set(tree(out))


def test_defects_exit_1_and_show_their_trace_on_request(stand_ins: StandIns, clip: Path, tmp_path: Path) -> None:
    run = ["run", clip, "--out", tmp_path / "out"]
    done = stand_ins.command.run(*run, STAND_IN_FAIL="sfm:defect")
    assert done.returncode == 1
    assert "an unforeseen thing" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in stand_ins.command.run(*run, "--debug", STAND_IN_FAIL="sfm:defect").stderr
    assert "SIGSEGV" in stand_ins.command.run(*run, STAND_IN_FAIL="sfm:crash").stderr


def test_a_step_killed_by_the_system_is_taken_for_lack_of_memory(
    stand_ins: StandIns, clip: Path, tmp_path: Path
) -> None:
    done = stand_ins.command.run("run", clip, "--out", tmp_path / "out", STAND_IN_FAIL="train:killed")
    assert done.returncode == 2
    assert "error [out_of_memory]: " in done.stderr


def test_a_second_run_in_the_same_folder_is_refused(stand_ins: StandIns, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = _pause(stand_ins, "extract", "run", clip, "--out", out)
    second = stand_ins.command.run("run", clip, "--out", out)
    assert second.returncode == 2
    assert "error [output_unwritable]: Another run" in second.stderr
    assert (out / ".splatflow" / "lock").exists()
    assert first.poll() is None


@pytest.mark.parametrize("moved", [0, 1, 2, 3])
def test_a_kill_while_the_result_is_put_in_place_is_mended(
    stand_ins: StandIns, clip: Path, tmp_path: Path, moved: int
) -> None:
    out = tmp_path / "out"
    assert stand_ins.command.run("run", clip, "--out", out).returncode == 0
    before = {k: v for k, v in tree(out).items() if not k.startswith(".splatflow")}
    # What a kill after `moved` renames leaves: some of the new result still staged.
    staged = out / ".splatflow" / "publish"
    staged.mkdir()
    for name in ["images", "scene.ply", "report.json"][moved:]:
        (out / name).rename(staged / name)
    done = stand_ins.command.run("run", clip, "--out", out, STAND_IN_FAIL="extract:video")
    assert done.returncode == 2
    assert {k: v for k, v in tree(out).items() if not k.startswith(".splatflow")} == before
    assert not staged.exists()
