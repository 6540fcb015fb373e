"""The group of `splatflow up`: with stand-in parts, how it starts, mends itself and ends."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cli.service import logs, processes
from cli.service.folder import DataFolder
from tests.cli.conftest import ROOT, wait_until

MODULE = "tests.cli.stand_in_parts"
PARTS = {"prefect", "worker", "api", "dispatcher", "housekeeping"}


class Host:
    """A data folder and the command on it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.folder = DataFolder(data)
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, stand_in: str = "") -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE, "cli", *arguments, "--data", str(self.data)],
            cwd=ROOT,
            env={**os.environ, "STAND_IN": stand_in},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str, stand_in: str = "") -> "subprocess.CompletedProcess[str]":
        process = self.start(*arguments, stand_in=stand_in)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def up(self, *arguments: str, stand_in: str = "") -> "subprocess.CompletedProcess[str]":
        ports = ("--api-port", "0", "--prefect-port", "0", "--json")
        return self.run("up", "--detach", *ports, *arguments, stand_in=stand_in)

    def pids(self) -> dict[str, int]:
        state = self.folder.state()
        return state.parts if state is not None else {}

    def left(self) -> list[psutil.Process]:
        return processes.marked(self.folder.group_id)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path / "data")
    yield host
    if (state := host.folder.running()) is not None:
        os.kill(state.pid, signal.SIGKILL)
    processes.end_leftovers(host.folder.group_id, patience_seconds=0)
    for process in host.started:
        process.kill()
        process.communicate()


def waited(what: Callable[[], Any], seconds: float = 20) -> Any:
    """Waits for a true answer and returns it."""
    found: list[Any] = []
    wait_until(lambda: bool(found.append(what()) or found[-1]), seconds)
    return found[-1]


def test_a_detached_group_is_ready_when_the_command_returns_and_leaves_nothing_when_it_is_stopped(host: Host) -> None:
    done = host.up()
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == {
        "url": told["url"],
        "prefect_url": told["prefect_url"],
        "data": str(host.data),
        "key": "sfk_stand_in",
    }
    state = host.folder.running()
    assert state is not None
    assert (state.phase, state.url, state.prefect_url) == ("ready", told["url"], told["prefect_url"])
    assert waited(lambda: host.pids().keys() == PARTS)
    assert stat.S_IMODE(host.folder.secrets.stat().st_mode) == 0o600
    assert "worker says hello" in host.folder.log("worker").read_text()
    for where in (host.data / "run" / "state.json", *host.folder.logs.iterdir()):
        assert "sfk_stand_in" not in where.read_text()

    stopped = host.run("down")
    assert stopped.returncode == 0, stopped.stderr
    assert host.left() == []
    assert host.folder.running() is None
    again = host.run("down")
    assert again.returncode == 2
    assert "error [group_not_running]" in again.stderr


def test_the_signing_secret_is_in_no_argument_and_stays_over_restarts(host: Host) -> None:
    host.up()
    secret = json.loads(host.folder.secrets.read_text())["signing_secret"]
    assert len(secret) == 64
    for process in host.left():
        assert secret not in " ".join(process.cmdline())
        assert process.environ()["SPLATFLOW_SIGNING_SECRET"] == secret
    host.run("down")
    host.up()
    assert {p.environ()["SPLATFLOW_SIGNING_SECRET"] for p in host.left()} == {secret}


def test_a_second_group_on_the_folder_is_refused(host: Host) -> None:
    host.up()
    before = waited(lambda: host.pids() if host.pids().keys() == PARTS else None)
    refused = host.up()
    assert refused.returncode == 2
    assert "error [group_running]" in refused.stderr
    assert host.pids() == before


def test_a_part_that_dies_is_started_again(host: Host) -> None:
    host.up()
    before = waited(lambda: host.pids() if host.pids().keys() == PARTS else None)
    for name in PARTS:
        os.kill(before[name], signal.SIGKILL)
    after = waited(
        lambda: p if (p := host.pids()).keys() == PARTS and not set(p.values()) & set(before.values()) else {}
    )
    assert after.keys() == PARTS
    assert "worker: ended (signal SIGKILL)" in host.folder.log("supervisor").read_text()


def test_a_part_that_dies_at_the_start_ends_it_with_the_end_of_its_log(host: Host) -> None:
    failed = host.up(stand_in="dispatcher:die")
    assert failed.returncode == 2
    assert "error [part_failed]: The part dispatcher ended while the group was starting (exit code 3)" in failed.stderr
    assert "dispatcher has no mind to work" in failed.stderr
    assert "API key (shown only now): sfk_stand_in" in failed.stderr
    assert host.left() == []
    assert host.folder.running() is None


def test_a_flow_run_outlives_its_worker_and_is_asked_to_stop_with_the_group(host: Host) -> None:
    host.up(stand_in="worker:flow")
    notes = host.data / "notes.txt"
    waited(lambda: notes.exists() and notes.read_text() == "at work")
    worker = host.pids()["worker"]
    runs = {p.pid for p in processes.flow_runs(host.left())}
    os.kill(worker, signal.SIGKILL)
    waited(lambda: host.pids().get("worker", worker) != worker)
    assert runs <= {p.pid for p in host.left()}
    assert host.run("down").returncode == 0
    assert notes.read_text() == "asked to stop"
    assert host.left() == []


def test_a_killed_supervisor_takes_its_parts_along_and_leaves_runs_to_the_next(host: Host) -> None:
    host.up(stand_in="worker:flow")
    waited(lambda: (host.data / "notes.txt").exists() and host.pids().keys() == PARTS)
    state = host.folder.running()
    assert state is not None
    runs = {p.pid for p in processes.flow_runs(host.left())}
    os.kill(state.pid, signal.SIGKILL)
    waited(lambda: {p.pid for p in host.left()} <= runs)
    assert host.folder.running() is None
    assert host.up().returncode == 0
    assert runs <= {p.pid for p in host.left()}
    assert host.run("down").returncode == 0
    assert host.left() == []


def test_down_ends_what_a_killed_group_left(host: Host) -> None:
    host.up(stand_in="worker:flow")
    waited(lambda: (host.data / "notes.txt").exists())
    state = host.folder.running()
    assert state is not None
    os.kill(state.pid, signal.SIGKILL)
    waited(lambda: not host.folder.locked())
    done = host.run("down")
    assert done.returncode == 0, done.stderr
    assert "that an earlier group had left" in done.stderr
    assert host.left() == []


def test_a_part_that_does_not_listen_is_killed(host: Host) -> None:
    host.up(stand_in="dispatcher:deaf")
    assert host.run("down").returncode == 0
    assert host.left() == []


def test_in_the_foreground_a_signal_stops_it_in_order(host: Host) -> None:
    process = host.start("up", "--api-port", "0", "--prefect-port", "0")
    waited(lambda: (s := host.folder.running()) is not None and s.phase == "ready")
    assert process.stderr is not None
    while "Ctrl-C stops it" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert out.startswith("API ")
    assert "sfk_stand_in" in out
    assert host.left() == []
    assert host.folder.running() is None


def test_a_killed_foreground_command_takes_the_group_along(host: Host) -> None:
    process = host.start("up", "--api-port", "0", "--prefect-port", "0")
    waited(lambda: (s := host.folder.running()) is not None and s.phase == "ready")
    process.kill()
    waited(lambda: not host.folder.locked() and not host.left())


@pytest.mark.parametrize(("option", "other"), [("--api-port", "--prefect-port"), ("--prefect-port", "--api-port")])
def test_a_taken_port_names_its_option(host: Host, option: str, other: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = host.run("up", "--detach", option, str(taken.getsockname()[1]), other, "0")
    assert refused.returncode == 2
    assert "error [port_taken]" in refused.stderr
    assert option in refused.stderr
    assert host.left() == []


@pytest.mark.parametrize(
    ("arguments", "slug"),
    [(("--host", "no.such.host.invalid"), "bad_option"), (("--api-port", "70000"), "bad_option")],
)
def test_what_can_not_be_listened_on_is_refused(host: Host, arguments: tuple[str, str], slug: str) -> None:
    refused = host.run("up", "--detach", *arguments)
    assert refused.returncode == 2
    assert f"error [{slug}]" in refused.stderr
    assert arguments[0] in refused.stderr


def test_a_data_folder_that_can_not_be_used_is_refused(host: Host) -> None:
    host.data.write_text("a file")
    refused = host.up()
    assert refused.returncode == 2
    assert "error [data_unusable]" in refused.stderr
    assert host.data.read_text() == "a file"


def test_damaged_secrets_are_refused_and_left_alone(host: Host) -> None:
    host.folder.make()
    host.folder.secrets.write_text("{")
    refused = host.up()
    assert refused.returncode == 2
    assert "error [data_unusable]" in refused.stderr
    assert host.folder.secrets.read_text() == "{"


def test_large_logs_are_rotated_while_a_part_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 10)
    log = tmp_path / "api.log"
    with log.open("ab", buffering=0) as part:
        for number in range(6):
            part.write(b"%d " % number * 10)
            logs.rotate(log)
        part.write(b"last")
    assert log.read_bytes() == b"last"
    assert (tmp_path / "api.log.1").read_bytes() == b"5 " * 10
    assert sorted(p.name for p in tmp_path.iterdir()) == ["api.log", "api.log.1", "api.log.2", "api.log.3"]
    assert logs.tail(log) == "last"


def test_state_files_that_say_nothing_are_no_state(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.make()
    assert folder.state() is None
    for text in ("", "[]", '{"pid": 1}', "null"):
        (folder.run / "state.json").write_text(text)
        assert folder.state() is None


@pytest.mark.parametrize("secret", ["not-a-secret", "short"])
def test_a_secret_that_others_know_is_refused_before_anything_is_made(
    host: Host, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLATFLOW_SIGNING_SECRET", secret)
    refused = host.up("--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "error [bad_option]" in refused.stderr
    assert "SPLATFLOW_SIGNING_SECRET" in refused.stderr
    assert secret not in refused.stdout
    assert not host.data.exists()
