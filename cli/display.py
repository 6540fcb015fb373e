"""Progress on the screen: a live bar per step on a terminal, dated plain lines elsewhere (logs, CI)."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

PLAIN_EVERY_SECONDS = 5.0
PACE_SECONDS = 40.0  # training slows as the scene grows: what was long ago says little
MIN_ELAPSED_SECONDS = 2.0  # before that an estimate of the time remaining is a guess


class Display(Protocol):
    """Shows the steps of a run, one after the other."""

    def begin(self, step: str) -> None:
        """A step begins."""

    def advance(self, done: int, total: int, message: str) -> None:
        """The step says how far it is."""

    def end(self, note: str) -> None:
        """The step ended; `note` says how."""

    def say(self, line: str) -> None:
        """A line that stays on the screen."""


class Clock:
    """Time remaining of one phase of a step, from its recent pace; a new total or a step back begins a new phase."""

    def __init__(self) -> None:
        self._total = -1
        self._past: deque[tuple[float, int]] = deque()  # times and how much was done then, over the last seconds

    def remaining(self, done: int, total: int) -> float | None:
        """Seconds to go, or None while there is too little to go by."""
        now = time.monotonic()
        if total != self._total or (self._past and done < self._past[-1][1]):
            self._total = total
            self._past.clear()
        self._past.append((now, done))
        while len(self._past) > 2 and self._past[1][0] < now - PACE_SECONDS:
            self._past.popleft()
        elapsed, advanced = now - self._past[0][0], done - self._past[0][1]
        if elapsed < MIN_ELAPSED_SECONDS or advanced <= 0 or total <= done:
            return None
        return elapsed / advanced * (total - done)


def duration(seconds: float) -> str:
    """A time for people: "8 s", "1 min 05 s", "2 h 10 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class PlainDisplay:
    """Dated lines, at most one every few seconds, on standard output or another stream."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream
        self._step = ""
        self._clock = Clock()
        self._next = 0.0
        self._started = 0.0

    def begin(self, step: str) -> None:
        self._step, self._clock, self._started = step, Clock(), time.monotonic()
        self._next = time.monotonic() + PLAIN_EVERY_SECONDS
        self._print("started")

    def advance(self, done: int, total: int, message: str) -> None:
        remaining = self._clock.remaining(done, total)
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PLAIN_EVERY_SECONDS
        share = f"{100 * done / total:3.0f} %  " if total > 0 else ""
        left = f", about {duration(remaining)} left" if remaining is not None else ""
        self._print(f"{share}{message}{left}")

    def end(self, note: str) -> None:
        self._print(note)

    def say(self, line: str) -> None:
        print(line, flush=True, file=self._stream)

    def _print(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')}  {self._step:<8} {text}", flush=True, file=self._stream)


class LiveDisplay:
    """A line with a bar for every step begun so far, drawn by rich."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("[bold]{task.description:<8}"),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[time]:<12}"),
            TextColumn("{task.fields[note]}"),
            console=console,
            refresh_per_second=8,
        )
        self._task: TaskID | None = None
        self._clock = Clock()
        self._started = 0.0

    def __enter__(self) -> "LiveDisplay":
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def begin(self, step: str) -> None:
        self._clock, self._started = Clock(), time.monotonic()
        self._task = self._progress.add_task(step, total=None, time="", note="starting")

    def advance(self, done: int, total: int, message: str) -> None:
        if self._task is None:
            return
        remaining = self._clock.remaining(done, total)
        left = f"{duration(remaining)} left" if remaining is not None else ""
        # One below the total at most: rich takes a full bar for the end, but a step may go on with its next phase.
        self._progress.update(
            self._task, completed=min(done, max(total - 1, 0)), total=total or None, time=left, note=escape(message)
        )

    def end(self, note: str) -> None:
        if self._task is None:
            return
        elapsed = duration(time.monotonic() - self._started)
        self._progress.update(self._task, completed=1, total=1, time=elapsed, note=escape(note))

    def say(self, line: str) -> None:
        self._progress.console.print(escape(line), highlight=False, soft_wrap=True)


@contextmanager
def shown(console: Console) -> Iterator[Display]:
    """The display that suits the console's stream, which is standard output where nothing else is said."""
    if console.is_terminal and console.file.isatty():
        with LiveDisplay(console) as live:
            yield live
    else:
        yield PlainDisplay(console.file)
