"""Runs one step in a process of its own (`tasks.process.worker`), follows it, stops it, and tells how it ended."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

import tasks.errors
from tasks.errors import DiskFull, OutOfMemory
from tasks.process import memory
from tasks.process.messages import Done, Failed, Job, Progressed, Stopped
from tasks.process.outputs import disk_is_full

Progress = Callable[[int, int, str], None]
Check = Callable[[], None]
SAMPLE_SECONDS = 0.25
WHAT_TO_DO = "lower --max-gaussians, --max-frames or --train-side-px, or close other programs"
STOP_PATIENCE_SECONDS = 6.0  # for a checkpoint; after that the process is killed


class StepKilled(OutOfMemory):
    """The step's process was ended with SIGKILL, and not, as far as the system tells, for lack of memory. Trying again can help."""


class StepDefect(Exception):
    """A step failed in a way that we did not foresee. `trace` is its traceback, or what is known of its end."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.trace = trace


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A step that ended well: its record as JSON types, its time, and the largest resident memory of its processes."""

    record: dict[str, Any]
    seconds: float
    peak_memory_bytes: int


def run_step(
    job: Job,
    progress: Progress,
    log: Path,
    *,
    check: Check | None = None,
    environment: dict[str, str] | None = None,
    stop_patience_seconds: float = STOP_PATIENCE_SECONDS,
) -> Outcome:
    """Runs `job` and waits for it.

    Args:
        job: what to call.
        progress: told of the step's progress; may raise (KeyboardInterrupt included), which stops the step.
        log: what the step's libraries print goes here.
        check: called several times a second, also while the step is silent; may raise to stop it.
        environment: variables of the step's process beside our own.
        stop_patience_seconds: how long a step that is asked to stop may take for a checkpoint.

    Raises:
        OutOfMemory: the step said so, or the system counts that it has ended a process for lack of memory meanwhile.
        StepKilled: somebody ended the step's process with SIGKILL; an OutOfMemory, as that is the likeliest cause.
        SplatflowError: what the step raised on purpose; also a full disk or memory, however it showed.
        StepDefect: anything else.
    """
    started = time.monotonic()
    ended_before = memory.oom_kills()
    read_fd, write_fd = os.pipe()
    with log.open("ab") as log_file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tasks.process.worker", str(write_fd)],
            stdin=subprocess.PIPE,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            pass_fds=(write_fd,),
            env={**worker_environment(), **(environment or {})},
            start_new_session=True,  # a terminal's Ctrl-C comes to us alone; we ask the step to stop
        )
    os.close(write_fd)
    reports = Connection(read_fd, writable=False)
    try:
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(pickle.dumps(job))
            process.stdin.flush()
        message, peak = _follow(process, reports, progress, check)
    except BaseException:
        _stop(process, reports, stop_patience_seconds)
        _close(process)
        raise
    finally:
        reports.close()
    code = process.wait()
    _kill(process)  # what it may have left behind
    _close(process)
    if isinstance(message, Done):
        return Outcome(
            record=message.record,
            seconds=time.monotonic() - started,
            peak_memory_bytes=max(peak, message.peak_memory_bytes),
        )
    raise _error(message, code, job, log, ended_before)


def worker_environment() -> dict[str, str]:
    """Our environment, with idle threads told to sleep: spinning costs a factor of five on busy machines."""
    return {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONUNBUFFERED": "1"}


def _follow(
    process: "subprocess.Popen[bytes]", reports: Connection, progress: Progress, check: Check | None
) -> tuple[Any, int]:
    peak = 0
    next_sample = 0.0
    while True:
        if check is not None:
            check()
        if time.monotonic() >= next_sample:
            peak = max(peak, _tree_memory_bytes(process.pid))
            next_sample = time.monotonic() + SAMPLE_SECONDS
        try:
            if not reports.poll(SAMPLE_SECONDS):
                if process.poll() is not None and not reports.poll(0):  # its children may hold the pipe open
                    return None, peak
                continue
            message = reports.recv()
        except (EOFError, OSError):
            return None, peak
        if not isinstance(message, Progressed):
            return message, peak
        progress(message.done, message.total, message.message)


def _tree_memory_bytes(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        return sum(p.memory_info().rss for p in (process, *process.children(recursive=True)))
    except psutil.Error:
        return 0


def _stop(process: "subprocess.Popen[bytes]", reports: Connection, patience_seconds: float) -> None:
    """Asks the step to stop, gives it time for a checkpoint, then ends it and all of its children."""
    with suppress(OSError):
        assert process.stdin is not None
        process.stdin.write(b"s")
        process.stdin.flush()
    deadline = time.monotonic() + patience_seconds
    with suppress(EOFError, OSError, KeyboardInterrupt):  # a second Ctrl-C: no more patience
        while time.monotonic() < deadline:
            # Its reports must be read on, or it may block on a full pipe before it sees the wish.
            if reports.poll(0.1) and not isinstance(reports.recv(), Progressed):
                break
    _kill(process)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _close(process: "subprocess.Popen[bytes]") -> None:
    with suppress(OSError):
        assert process.stdin is not None
        process.stdin.close()


def _error(message: Any, code: int, job: Job, log: Path, ended_before: int | None) -> BaseException:
    if isinstance(message, Failed):
        if message.error:
            return getattr(tasks.errors, message.error)(message.message)
        return StepDefect(message.message, message.trace)
    if isinstance(message, Stopped):
        return KeyboardInterrupt()
    if disk_is_full(job.out):
        return DiskFull(f"The disk of {job.out} is full; free some space or choose another --out.")
    if code == -signal.SIGKILL:
        ended = memory.oom_kills()
        if ended is not None and ended_before is not None and ended > ended_before:
            return OutOfMemory(f"The system ended this step because memory ran out; {WHAT_TO_DO}.")
        return StepKilled(
            f"The system ended this step, most likely because the machine ran out of memory; {WHAT_TO_DO}."
        )
    ending = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return StepDefect(f"the step's process ended without a word ({ending})", _tail(log))


def _tail(log: Path, lines: int = 40) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
