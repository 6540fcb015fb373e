"""Figures of jobs that really run: from submit to the first line of the flow, submits a second, answers beside a reconstruction."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks.load_http import Figures, LoadError, Target, closed_loop, open_loop

PAGE = 1000  # most jobs that one request lists
END = ("Finished", "Failed", "Not found")
POLL_SECONDS = 0.02
GONE_SECONDS = 300.0
# Of preset `standard`, which is what a CPU is given by default.
STEPS, MAX_GAUSSIANS = 3_000, 100_000
RowsLeft = Callable[[], int]


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Answers while a job was at work, and that job's detail when it had ended."""

    figures: Figures
    job: dict[str, Any]


def job_ids(target: Target) -> list[str]:
    """All of the account's jobs."""
    found: list[str] = []
    with target.client() as client:
        while True:
            response = client.get("jobs/", params={"limit": PAGE, "offset": len(found)})
            response.raise_for_status()
            page = [job["job_id"] for job in response.json()]
            found += page
            if len(page) < PAGE:
                return found


def upload(target: Target, clip: Path) -> str:
    """The blob of a new upload of the clip."""
    with target.client() as client:
        wanted = client.post("generate-upload-url/", json={"file_extension": clip.suffix}).raise_for_status().json()
    httpx.put(wanted["url"], content=clip.read_bytes(), timeout=600, trust_env=False).raise_for_status()
    return wanted["blob_name"]


def submission(blob_name: str, steps: int) -> dict[str, Any]:
    """The body of a submit."""
    return {
        "blob_name": blob_name,
        "title": "Load",
        "training_num_steps": steps,
        "training_max_num_gaussians": MAX_GAUSSIANS,
    }


def submit(client: httpx.Client, blob_name: str, *, steps: int) -> str:
    """The id of a new job."""
    return client.post("submit-job/", json=submission(blob_name, steps)).raise_for_status().json()["job_id"]


def detail(client: httpx.Client, job: str) -> dict[str, Any]:
    """The job's detail."""
    return client.get(f"jobs/{job}/").raise_for_status().json()


def first_line_seconds(target: Target, clip: Path, rows_left: RowsLeft, *, times: int) -> list[float]:
    """From a submit to the moment that its run has claimed the job and writes its first line; one job after the other."""
    found = []
    for _ in range(times):
        blob_name = upload(target, clip)  # the last one went with its job
        with target.client() as client:
            begin = time.perf_counter()
            job = submit(client, blob_name, steps=STEPS)
            while detail(client, job)["status"].startswith("Queued"):
                time.sleep(POLL_SECONDS)
            found.append(time.perf_counter() - begin)
        delete_all(target, rows_left)
    return found


async def submits(target: Target, blob_name: str, *, connections: int, seconds: float) -> Figures:
    """Submits a second; their jobs stay."""
    request = target.request("submit-job/", body=json.dumps(submission(blob_name, STEPS)).encode())
    return await closed_loop(target, "submit-job/", [request], connections=connections, seconds=seconds, good=201)


def delete_all(target: Target, rows_left: RowsLeft) -> tuple[int, float]:
    """Deletes the account's jobs; how many, and seconds from the first wish until nothing of them is left.

    Args:
        rows_left: how many rows the account's jobs have, deleted ones included; the last that is removed of a job.

    Raises:
        LoadError: it takes longer than five minutes.
    """
    ids, begin = job_ids(target), time.perf_counter()
    with target.client() as client:
        for job in ids:
            client.delete(f"jobs/{job}/").raise_for_status()
    while left := rows_left():
        if time.perf_counter() - begin > GONE_SECONDS:
            raise LoadError(f"{left:,} deleted jobs are still there after {GONE_SECONDS:.0f} s")
        time.sleep(0.2)
    return len(ids), time.perf_counter() - begin


async def beside(
    target: Target, job_target: Target, clip: Path, paths: list[str], *, connections: int, rate: float, steps: int
) -> Beside:
    """Answers to GETs of `paths` and of the job itself, at an even rate, from the moment that the job of the clip runs until its end.

    Args:
        job_target: whose the job is.

    Raises:
        LoadError: the job didn't finish.
    """
    blob_name = upload(job_target, clip)
    with job_target.client() as client:
        job = submit(client, blob_name, steps=steps)
        while detail(client, job)["status"].startswith("Queued"):
            await asyncio.sleep(0.2)
        running = True

        async def watch() -> dict[str, Any]:
            nonlocal running
            try:
                while (now := await asyncio.to_thread(detail, client, job))["status"] not in END:
                    await asyncio.sleep(1)
                return now
            finally:
                running = False

        watcher = asyncio.create_task(watch())
        requests = [target.request(path) for path in paths] or [job_target.request(f"jobs/{job}/")]
        what = f"jobs/{{id}}/ at {rate:g}/s beside a reconstruction"
        try:
            figures = await open_loop(target, what, requests, connections=connections, rate=rate, going=lambda: running)
            ended = await watcher
        finally:
            watcher.cancel()
    if ended["status"] != "Finished":
        raise LoadError(f"the job beside the load ended as {ended['status']}: {ended['error_message']}")
    return Beside(figures=figures, job=ended)


def told(seconds: list[float]) -> str:
    """Least, median and most."""
    return f"{min(seconds):.1f} / {median(seconds):.1f} / {max(seconds):.1f} s"
