"""The jobs that wait or are at work, on one screen."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.client.http import Api
from cli.display import duration

POLL_SECONDS = 2.0
MOST = 50  # of each kind; who has more looks at the dashboards
BAR_WIDTH = 16
NONE = "No job waits or is at work."
PERCENT_WIDTH = 5
GAPS = 10  # between the columns
WIDE = 116
LEAST_TITLE = 6


def open_jobs(api: Api) -> list[dict[str, Any]]:
    """Details of the jobs of this key's account that are at work or wait, in the order in which they will end.

    Raises:
        Refused, Unreachable: see `cli.client.errors`.
    """
    found: dict[str, dict[str, Any]] = {}
    for status in ("queued", "processing"):  # in this order: one that begins meanwhile is seen twice, not never
        for row in api.get("jobs/", status=status, limit=MOST, detail="true"):
            # Other deployments of the API list ids and titles only, whatever they are asked for.
            job = row if "status" in row else api.get(f"jobs/{row['job_id']}/")
            if job["status"] not in ("Finished", "Failed", "Not found"):
                found[job["job_id"]] = job
    return sorted(found.values(), key=_order)


def show(jobs: list[dict[str, Any]], console: Console) -> None:
    """The jobs as a table on a terminal, as plain lines elsewhere."""
    if console.is_terminal:
        console.print(table(jobs, console.width))
        return
    for line in lines(jobs):
        print(line, file=console.file, flush=True)


def watch(look: Callable[[], list[dict[str, Any]]], console: Console) -> None:
    """Shows the jobs until none is left: in place on a terminal; elsewhere the lines that have changed, each with its time."""
    if console.is_terminal:
        with Live(Text("asking"), console=console, refresh_per_second=4) as live:
            while jobs := look():
                live.update(table(jobs, console.width))
                time.sleep(POLL_SECONDS)
            live.update(Text(NONE))
        return
    told: dict[str, str] = {}
    while jobs := look():
        now = {job["job_id"]: line for job, line in zip(jobs, lines(jobs), strict=True)}
        for job_id, line in now.items():
            if told.get(job_id) != line:
                print(f"{time.strftime('%H:%M:%S')}  {line}", file=console.file, flush=True)
        told = now
        time.sleep(POLL_SECONDS)
    print(f"{time.strftime('%H:%M:%S')}  {NONE}", file=console.file, flush=True)


def lines(jobs: list[dict[str, Any]]) -> list[str]:
    """A line for each job; one that says so when there are none."""
    rows = [_cells(job) for job in jobs]
    return ["  ".join(cell for cell in (row[0], *row[2:], row[1]) if cell) for row in rows] or [NONE]


def table(jobs: list[dict[str, Any]], width: int) -> Table | Text:
    """The jobs, a line each, on a terminal of this width; with a bar where there is room. Titles get what the rest leaves."""
    if not jobs:
        return Text(NONE)
    rows = [_cells(job) for job in jobs]
    wheres = [step or status.lower().replace(" - position: ", ", place ") for _, _, status, step, _, _ in rows]
    lefts = [left.removeprefix("about ").removesuffix(" left") for *_, left in rows]
    bar = BAR_WIDTH if width >= WIDE else 0
    fixed = len(rows[0][0]) + max(map(len, (*wheres, "where"))) + bar + PERCENT_WIDTH + max(map(len, (*lefts, "left")))
    room = max(LEAST_TITLE, width - fixed - GAPS)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("job", "title", "where", "done", "left"):
        shown.add_column(name, no_wrap=True)
    for job, (job_id, title, _, _, done, _), where, left in zip(jobs, rows, wheres, lefts, strict=True):
        title = Text(title)
        title.truncate(room, overflow="ellipsis")
        percent, progress = percent_of(job), Table.grid(padding=(0, 1))
        if bar and percent is not None:
            progress.add_row(ProgressBar(total=100, completed=percent, width=bar), done)
        shown.add_row(job_id, title, where, progress if bar else done, left)
    return shown


def percent_of(job: dict[str, Any]) -> int | None:
    """How far its step is: the training's percentage while it trains."""
    if job.get("current_step") not in (None, "train") and job.get("step_percent") is not None:
        return job["step_percent"]
    percent = job.get("percent_complete")
    return job.get("step_percent") if percent is None else percent


def _cells(job: dict[str, Any]) -> tuple[str, str, str, str, str, str]:
    percent, remaining = percent_of(job), job.get("estimated_time_remaining")
    return (
        job["job_id"],
        printable(job["title"]),
        job["status"],
        job.get("current_step") or "",
        "" if percent is None else f"{percent} %",
        "" if remaining is None else f"about {duration(remaining)} left",
    )


def printable(text: str) -> str:
    """A text that anybody may have written, without what would steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def _order(job: dict[str, Any]) -> tuple[int, float, str]:
    if not job["status"].startswith("Queued"):
        remaining = job.get("estimated_time_remaining")
        return 0, float("inf") if remaining is None else remaining, job["job_id"]
    position = job.get("queue_position")
    return 1, float("inf") if position is None else position, job["job_id"]
