"""The command line as a process, with the real steps or with stand-ins."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Command:
    """`splatflow` as a process of its own."""

    module: str
    environment: dict[str, str] = field(default_factory=dict)
    started: "list[subprocess.Popen[str]]" = field(default_factory=list)

    def start(self, *arguments: object, **environment: str) -> "subprocess.Popen[str]":
        """Starts it and returns at once."""
        process = subprocess.Popen(
            [sys.executable, "-m", self.module, *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, **self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        """Leaves no process behind, whatever became of the test."""
        for process in self.started:
            if process.returncode is None:
                process.kill()
                process.communicate()

    def run(self, *arguments: object, timeout: float = 300, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Runs it to its end."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def splatflow() -> Iterator[Command]:
    """The real thing."""
    command = Command("cli.main")
    yield command
    command.end()


@dataclass
class StandIns:
    """The command line with stand-in steps, and what they noted."""

    command: Command
    log: Path

    def calls(self) -> list[str]:
        """The steps called since last asked."""
        path = self.log / "calls.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def stand_ins(tmp_path: Path) -> Iterator[StandIns]:
    """The command line with steps that only keep to the interface."""
    log = tmp_path / "log"
    log.mkdir()
    command = Command("tests.cli.stand_ins", {"STAND_IN_LOG": str(log)})
    yield StandIns(command, log)
    command.end()


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Waits for something that another process does."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def tree(folder: Path) -> dict[str, bytes | None]:
    """All that a folder holds: contents by name, None for folders."""
    if not folder.exists():
        return {}
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}
