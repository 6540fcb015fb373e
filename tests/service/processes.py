"""The processes of a group as a test may kill, freeze and count them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from tests.support.group import ROOT, Group

RUN_MARK = "PREFECT__FLOW_RUN_ID"
STEP = "tasks.process.worker"
READY = 90


def of_run(group: Group, run_id: str) -> list[psutil.Process]:
    """The processes of a flow run: its own first, then those of its step."""
    found = []
    for process in group.processes():
        with suppress(psutil.Error):
            if process.environ().get(RUN_MARK) == run_id and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return sorted(found, key=_is_step)


def steps_of_run(group: Group, run_id: str) -> list[psutil.Process]:
    """The processes of a flow run's step only."""
    return [process for process in of_run(group, run_id) if _is_step(process)]


def send(processes: list[psutil.Process], number: signal.Signals = signal.SIGKILL) -> None:
    """Sends a signal to all of them, at once as far as that goes."""
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)


def part(group: Group, name: str) -> psutil.Process:
    """A part of the group that is at work."""
    return psutil.Process(group.part_pids()[name])


def wait_for(what: Callable[[], Any], seconds: float, told: Callable[[], Any] | str) -> Any:
    """What `what` returns, once that is true of it; the test fails with `told` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, told if isinstance(told, str) else told()
        time.sleep(0.1)
    return found


def wait_for_another(group: Group, name: str, before: int) -> None:
    """Waits until the supervisor has started a part again."""
    wait_for(lambda: group.part_pids().get(name, before) != before, READY, f"{name} was not started again")


@contextmanager
def held_down(group: Group, name: str) -> Iterator[None]:
    """Keeps a part from working while the block lasts: kills it as often as the supervisor starts it again."""
    over = threading.Event()

    def kill() -> None:
        last = 0
        while not over.wait(0.2):
            pid = group.part_pids().get(name, 0)
            if pid != last and psutil.pid_exists(pid):
                send([psutil.Process(pid)])
                last = pid

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def kill_everything(group: Group) -> None:
    """`kill -9` of the supervisor, its parts and all that they started, as when a machine loses its power."""
    send([psutil.Process(_supervisor(group)), *group.processes()])
    wait_for(lambda: not [p for p in group.processes() if _lives(p)], 20, "something outlived kill -9")


def another_worker(group: Group) -> "subprocess.Popen[bytes]":
    """A worker of the same pool as on a second host; the caller ends it."""
    environment = part(group, "worker").environ()
    log = (group.data / "logs" / "second-worker.log").open("ab")
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "cli.service.worker", "gpu"],
            cwd=ROOT,
            env={**environment, "SPLATFLOW_GROUP": "second" + environment["SPLATFLOW_GROUP"]},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _supervisor(group: Group) -> int:
    import json

    return json.loads((group.data / "run" / "state.json").read_text())["pid"]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
    except psutil.Error:
        return False


def _is_step(process: psutil.Process) -> bool:
    try:
        return STEP in process.cmdline()
    except psutil.Error:
        return True
