"""One part at work: its process, its log, when it is tried again."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.service import logs
from cli.service.parts import Part

LAUNCH = Path(__file__).with_name("launch.py")
BACKOFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
STEADY_SECONDS = 60.0  # after so long at work, the next death is a first one again
PROBE_EVERY_SECONDS = 0.15


@dataclass
class Running:
    """A part and what has become of it.

    Attributes:
        phase: "waiting", "starting", "ready", "done" (it ends, and did well) or "dead".
        deaths: in a row.
        due: when it is started next (monotonic).
    """

    part: Part
    log: Path
    phase: str = "waiting"
    process: "subprocess.Popen[bytes] | None" = None
    deaths: int = 0
    due: float = 0.0
    _began: float = 0.0
    _log_begin: int = 0
    _next_probe: float = 0.0

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None else None

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self._began

    def start(self, environment: dict[str, str]) -> None:
        """Starts its process, tied to this one's life."""
        logs.rotate(self.log)
        with self.log.open("ab") as log:
            self._log_begin = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), *self.part.command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if self.part.says else log,
                stderr=log,
                env=environment,
                start_new_session=True,  # a terminal's Ctrl-C is for the supervisor, which ends parts in order
            )
        self.phase, self._began, self._next_probe = "starting", time.monotonic(), 0.0

    def probe(self, now: float) -> bool:
        """Whether it has just become ready; asks it at most every so often."""
        if self.phase != "starting" or self.part.ends or now < self._next_probe:
            return False
        from cli.service.parts import is_ready

        self._next_probe = now + PROBE_EVERY_SECONDS
        if not is_ready(self.part):
            return False
        self.phase = "ready"
        return True

    def said(self) -> dict[str, Any]:
        """What a part that `says` has printed, once it ended."""
        assert self.process is not None
        text = self.process.stdout.read() if self.process.stdout is not None else b""
        lines = text.splitlines()
        return json.loads(lines[-1]) if lines else {}

    def ended(self) -> int:
        """Takes note of its process's end; returns the exit code (negative: the signal)."""
        assert self.process is not None
        code = self.process.wait()
        if self.part.ends and code == 0:
            self.phase = "done"
            return code
        self.deaths = 1 if self.seconds > STEADY_SECONDS else self.deaths + 1
        self.due = time.monotonic() + self.backoff_seconds
        self.phase = "dead"
        return code

    @property
    def backoff_seconds(self) -> float:
        """How long it is left dead."""
        return BACKOFF_SECONDS[min(max(self.deaths, 1), len(BACKOFF_SECONDS)) - 1]

    def last_words(self) -> str:
        """The end of what it printed since its last start."""
        return logs.tail(self.log, begin=self._log_begin)


def ending(code: int) -> str:
    """An exit code for people."""
    import signal

    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
