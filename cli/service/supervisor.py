"""Starts the parts of a group, starts again what dies, and ends them in order."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil

from cli.service import logs, processes
from cli.service.errors import PartFailed
from cli.service.folder import DataFolder, GroupState
from cli.service.parts import WORKERS, Part
from cli.service.report import Reporter
from cli.service.running import Running, ending

STARTING_TICK_SECONDS = 0.05
STEADY_TICK_SECONDS = 0.2
START_LIMIT_SECONDS = 180.0
FLOW_PATIENCE_SECONDS = 15.0  # for a run to end its step and say so
LEFTOVER_PATIENCE_SECONDS = 5.0
ROTATE_EVERY_SECONDS = 30.0


class Supervisor:
    """The group of one data folder. `run` lasts until it is asked to stop or the start fails.

    Args:
        folder: made and locked.
        parts: what to run.
        environment: of the parts.
        state: what is known of the group before it runs.
        reporter: told of what happens.
        say: takes a line for the supervisor's own log.
    """

    def __init__(
        self,
        folder: DataFolder,
        parts: list[Part],
        environment: dict[str, str],
        state: GroupState,
        reporter: Reporter,
        say: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._environment = environment
        self._state = state
        self._reporter = reporter
        self._say = say
        self._all = [Running(part=part, log=folder.log(part.name)) for part in parts]
        self._wishes = 0  # to stop; from the second on, without patience
        self._up = False
        self._next_rotation = 0.0

    def ask_to_stop(self, *_: object) -> None:
        """A signal handler: stop in order; when called again, at once."""
        self._wishes += 1

    def run(self) -> None:
        """Starts everything and keeps it at work.

        Raises:
            PartFailed: a part ended, or wasn't ready in time, before the group was ready; all parts have been ended.
        """
        limit = time.monotonic() + START_LIMIT_SECONDS
        try:
            processes.end_leftovers(self._folder.group_id, patience_seconds=LEFTOVER_PATIENCE_SECONDS, parts_only=True)
            self._write("starting")
            while not self._wishes:
                self._reap()
                self._start_what_can()
                self._probe()
                self._rotate()
                if not self._up and all(r.phase in ("ready", "done") for r in self._all if r.part.gates):
                    self._up = True
                    self._write("ready")
                    self._say("ready")
                    self._reporter.send("ready")
                if not self._up and time.monotonic() > limit:
                    self._refuse_late()
                time.sleep(STEADY_TICK_SECONDS if self._up else STARTING_TICK_SECONDS)
        finally:
            self._stop()

    def _start_what_can(self) -> None:
        now = time.monotonic()
        for running in self._all:
            fit = running.phase == "waiting" and all(self._fit(name) for name in running.part.after)
            if fit or (running.phase == "dead" and now >= running.due):
                self._start(running)

    def _fit(self, name: str) -> bool:
        return any(r.part.name == name and r.phase in ("ready", "done") for r in self._all)

    def _start(self, running: Running) -> None:
        running.start(self._environment)
        self._say(f"{running.part.name}: started as process {running.pid}")
        self._reporter.send("part", name=running.part.name, phase="starting")
        self._write(self._state.phase)

    def _probe(self) -> None:
        now = time.monotonic()
        for running in self._all:
            if running.probe(now):
                self._say(f"{running.part.name}: ready after {running.seconds:.1f} s")
                self._reporter.send("part", name=running.part.name, phase="ready", seconds=running.seconds)

    def _reap(self) -> None:
        for pid in _ended_children():
            running = next((r for r in self._all if r.pid == pid and r.phase in ("starting", "ready")), None)
            if running is None:  # a run whose worker died: it came to us
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)
                continue
            self._note_end(running)

    def _note_end(self, running: Running) -> None:
        name, code = running.part.name, running.ended()
        if running.phase == "done":
            self._say(f"{name}: done after {running.seconds:.1f} s")
            self._reporter.send("part", name=name, phase="done", seconds=running.seconds)
            if running.part.says and (key := running.said().get("key")):
                self._reporter.send("key", key=key)
            return
        self._say(f"{name}: ended ({ending(code)})")
        if self._wishes:
            return
        if not self._up:
            raise PartFailed(_failure(running, f"ended while the group was starting ({ending(code)})"))
        self._say(f"{name}: starts again in {running.backoff_seconds:.0f} s")
        self._reporter.send("part", name=name, phase="dead", why=ending(code), again_in=running.backoff_seconds)

    def _refuse_late(self) -> None:
        late = next(r for r in self._all if r.part.gates and r.phase not in ("ready", "done"))
        raise PartFailed(_failure(late, f"was not ready within {START_LIMIT_SECONDS:.0f} s"))

    def _rotate(self) -> None:
        if time.monotonic() < self._next_rotation:
            return
        self._next_rotation = time.monotonic() + ROTATE_EVERY_SECONDS
        for log in self._folder.logs.glob("*.log"):
            logs.rotate(log)

    def _stop(self) -> None:
        self._wishes = max(self._wishes, 1)  # what dies from here on is no failure
        self._write("stopping")
        self._say("stopping")
        for order in sorted({r.part.stop_order for r in self._all}):
            self._stop_parts([r for r in self._all if r.part.stop_order == order and r.phase in ("starting", "ready")])
            if order == WORKERS:
                self._stop_flow_runs()  # after the workers, which would start others, and before what they report to
        processes.end_leftovers(self._folder.group_id, patience_seconds=0.5)
        for pid in _ended_children():
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._folder.forget_state()
        self._say("stopped")

    def _stop_parts(self, some: list[Running]) -> None:
        for running in some:
            _signal(running, signal.SIGTERM)
        begun = time.monotonic()
        for running in some:
            while running.process is not None and running.process.poll() is None:
                if time.monotonic() - begun > running.part.patience_seconds or self._wishes > 1:
                    _signal(running, signal.SIGKILL)
                    running.process.wait()
                    break
                time.sleep(0.02)
            running.phase = "done"

    def _stop_flow_runs(self) -> None:
        def left() -> list[psutil.Process]:
            return processes.flow_runs(processes.marked(self._folder.group_id))

        def meanwhile() -> bool:
            self._reap()
            return self._wishes < 2

        if found := left():
            self._say(f"asking {len(processes.heads(found))} run(s) to stop")
            processes.end(left, patience_seconds=FLOW_PATIENCE_SECONDS, meanwhile=meanwhile)

    def _write(self, phase: str) -> None:
        ids = {r.part.name: r.pid for r in self._all if r.pid is not None and r.phase in ("starting", "ready")}
        self._state = replace(self._state, phase=phase, parts=ids)
        with suppress(OSError):  # a full disk must not end the group
            self._folder.write_state(self._state)


def _ended_children() -> list[int]:
    """Children that ended and are still to be waited for."""
    found: list[int] = []
    with suppress(ChildProcessError):
        info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if info is not None:
            found.append(info.si_pid)
    return found


def _signal(running: Running, number: signal.Signals) -> None:
    if running.process is not None:
        with suppress(ProcessLookupError):
            running.process.send_signal(number)


def _failure(running: Running, what: str) -> str:
    words = running.last_words()
    log = Path(running.log)
    said = f"the end of {log}:\n{words}" if words else f"it printed nothing; see {log}"
    return f"The part {running.part.name} {what}; {said}"
