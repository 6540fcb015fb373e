"""Processes of a group: how they are tied to the supervisor, how they are found when they outlived it."""

import ctypes
import signal
import sys
import time
from collections.abc import Callable, Iterable

import psutil

from cli.service.environment import FLOW_RUN_MARK, GROUP_MARK

PR_SET_CHILD_SUBREAPER = 36
ORPHAN_SECONDS = 1.0


def adopt_orphans() -> None:
    """Makes this process the parent of what its parts leave behind (Linux), so that flow runs of a dead worker are found."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def marked(group_id: str) -> list[psutil.Process]:
    """All living processes of a group, wherever they hang in the tree of processes."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(GROUP_MARK) == group_id:
                found.append(process)
        except (psutil.Error, OSError):  # gone, or another user's
            continue
    return found


def flow_runs(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that belong to flow runs, their steps' processes included."""
    found = []
    for process in processes:
        try:
            if FLOW_RUN_MARK in process.environ():
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def heads(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those whose parent isn't among them: the flow runs themselves, which end their own children."""
    ids = {process.pid for process in processes}
    found = []
    for process in processes:
        try:
            if process.ppid() not in ids:
                found.append(process)
        except psutil.Error:
            continue
    return found


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Sends a signal to those that still live."""
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.Error:
            continue


def end_leftovers(group_id: str, *, patience_seconds: float, parts_only: bool = False) -> int:
    """Ends what an earlier group left behind; returns how many processes there were.

    Args:
        group_id: the mark of the group.
        patience_seconds: between asking and killing.
        parts_only: leave flow runs at work; the dispatcher of the next group knows what to do with them.
    """

    def left() -> list[psutil.Process]:
        found = marked(group_id)
        runs = {process.pid for process in flow_runs(found)} if parts_only else set()
        return [process for process in found if process.pid not in runs]

    return end(left, patience_seconds=patience_seconds)


def end(
    left: Callable[[], list[psutil.Process]],
    *,
    patience_seconds: float,
    meanwhile: Callable[[], bool] = lambda: True,
) -> int:
    """Asks processes to end, and kills those that don't; returns how many there were.

    Only the heads are asked, as each ends its own children; those get a second more than their head.

    Args:
        left: those that still live.
        patience_seconds: for the heads.
        meanwhile: called again and again; False: no more patience.
    """
    found = left()
    number = len(found)
    asked = {process.pid for process in heads(found)}
    send(heads(found), signal.SIGTERM)
    deadline = time.monotonic() + patience_seconds
    headless = False
    while found and time.monotonic() < deadline and meanwhile():
        time.sleep(0.05)
        found = left()
        if not headless and not asked & {process.pid for process in found}:
            headless, deadline = True, min(deadline, time.monotonic() + ORPHAN_SECONDS)
    while found:
        send(found, signal.SIGKILL)
        meanwhile()
        time.sleep(0.02)
        found = left()
    return number


def alive(pid: int, started: float) -> bool:
    """Whether the process of this id is still the one that began then."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - started) < 1.0
    except psutil.Error:
        return False
