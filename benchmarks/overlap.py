"""How two jobs overlap, drawn from what their runs recorded: CPU steps of the one beside the training of the other.

    python -m benchmarks.overlap           # a training that holds the slot and waits, as a GPU's would: no GPU is needed
    python -m benchmarks.overlap --cpu     # real trainings on the CPU

Each time a real group (API, Prefect, dispatcher, worker) makes one job alone and then two that are submitted together, with
WORKER_LIMIT=2 and one slot. Without `--cpu` the train step trains for a few steps and then sleeps (benchmarks/overlap_site): the
processor is free meanwhile, as it is beside a GPU. Everything else is what it always is. Both kinds are compared with WORKER_LIMIT=1.
"""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from tests.contract.client import BLOCK_BLOB, Api, client, close_client, outside
from tests.contract.clip import demo_clip
from tests.support.group import Group

SITE = Path(__file__).with_name("overlap_site")
WIDTH = 76
LETTERS = {"extract": "e", "sfm": "s", "export": "x"}
WAITS, HOLDS = "w", "T"
TICK_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a run: what, from when to when (seconds since 1970)."""

    letter: str
    begin: float
    end: float


def make(group: Group, api: Api, clip: bytes, number: int, steps: int) -> list[str]:
    """Submits so many jobs at once and waits for their ends; their ids."""
    names = [api.upload_url("mp4") for _ in range(number)]
    for upload in names:
        outside("PUT", upload["url"], content=clip, headers=BLOCK_BLOB).raise_for_status()
    options = {"training_num_steps": steps, "training_max_num_gaussians": 6000, "train_side_px": 256}
    jobs = [
        api.submit(blob_name=upload["blob_name"], title=f"Job {n}", **options)["job_id"]
        for n, upload in enumerate(names, 1)
    ]
    left = list(jobs)
    while left:
        time.sleep(TICK_SECONDS)
        states = {job: api.detail(job) for job in left}
        assert not [s for s in states.values() if s["status"] in ("Failed", "Not found")], states
        left = [job for job, state in states.items() if state["status"] != "Finished"]
    return jobs


def prefect(group: Group, path: str, body: dict[str, Any]) -> Any:
    """An answer of Prefect's API."""
    return (
        httpx.post(f"{group.prefect_url}/api{path}", json=body, timeout=30, trust_env=False).raise_for_status().json()
    )


def spans(group: Group, job: str) -> list[Span]:
    """What the job's run did when, by Prefect's task runs and, for the slot, by the run's log."""
    (run,) = prefect(group, "/flow_runs/filter", {"flow_runs": {"tags": {"all_": [f"job:{job}"]}}})
    wanted = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    found, training = [], (0.0, 0.0)
    for task in prefect(group, "/task_runs/filter", wanted):
        begin, end = seconds(task["start_time"]), seconds(task["end_time"])
        if task["name"] == "train":
            training = (begin, end)
        elif task["name"] in LETTERS:
            found.append(Span(letter=LETTERS[task["name"]], begin=begin, end=end))
    logs = prefect(group, "/logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}, "sort": "TIMESTAMP_ASC"})
    held = next(seconds(line["timestamp"]) for line in logs if line["message"].startswith("Holding slot"))
    free = next(seconds(line["timestamp"]) for line in logs if line["message"].endswith("is free."))
    waits = Span(letter=WAITS, begin=training[0], end=held)
    return sorted([*found, waits, Span(letter=HOLDS, begin=held, end=free)], key=lambda span: span.begin)


def seconds(text: str) -> float:
    """A time of Prefect's."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def draw(rows: list[list[Span]], width: int = WIDTH) -> str:
    """A line for each job, all in one scale."""
    begin = min(span.begin for row in rows for span in row)
    end = max(span.end for row in rows for span in row)
    lines = []
    for number, row in enumerate(rows, 1):
        line = ["."] * width
        for span in row:
            first = int((span.begin - begin) / (end - begin) * width)
            last = max(int((span.end - begin) / (end - begin) * width), first + 1)
            line[first:last] = span.letter * (min(last, width) - first)
        lines.append(f"job {number} |{''.join(line)}|")
    return "\n".join([*lines, f"       0 s{f'{end - begin:.0f} s':>{width - 2}}"])


def measure(folder: Path, clip: bytes, environment: dict[str, str], steps: int, limit: int) -> dict[int, float]:
    """Wall time of one job and of two, printed with their timelines."""
    settings = {**environment, "SPLATFLOW_WORKER_LIMIT": str(limit), "SPLATFLOW_SLOTS": "one"}
    group, took = Group(data=folder, environment=settings), {}
    try:
        group.start()
        api = Api(group.url, group.make_key("overlap")["key"])
        make(group, api, clip, 1, steps)  # caches of files and compiled code are warm afterwards
        for number in (1, 2):
            begun = time.monotonic()
            jobs = make(group, api, clip, number, steps)
            took[number] = time.monotonic() - begun
            time.sleep(4)  # logs reach Prefect a moment later
            print(f"\n{number} job(s), {limit} run(s) at a time: {took[number]:.1f} s from submit to the last end")
            print(draw([spans(group, job) for job in jobs]), flush=True)
    finally:
        group.stop()
    return took


def main() -> None:
    """Prints timelines and figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="train on the CPU instead of waiting")
    parser.add_argument("--seconds", type=float, default=30.0, help="that a training holds the slot")
    parser.add_argument(
        "--steps", type=int, default=None, help="training steps; 100 where the rest is waiting, else 600"
    )
    given = parser.parse_args()
    environment = {} if given.cpu else {"OVERLAP_SECONDS": str(given.seconds), "PYTHONPATH": str(SITE)}
    steps = given.steps or (600 if given.cpu else 100)
    print("e extract, s structure from motion, w waits for the slot, T holds the slot, x export, . nothing recorded")
    client()
    with tempfile.TemporaryDirectory() as text:
        clip = demo_clip(Path(text) / "clip.mp4")
        found = {limit: measure(Path(text) / f"group{limit}", clip, environment, steps, limit) for limit in (1, 2)}
    close_client()
    print("\n| runs at a time | one job s | two jobs s | two by one |\n|---|---|---|---|")
    for limit, took in found.items():
        print(f"| {limit} | {took[1]:.1f} | {took[2]:.1f} | {took[2] / took[1]:.2f} |")
    print(f"load of the machine meanwhile: {os.getloadavg()[2]:.1f}")


if __name__ == "__main__":
    main()
