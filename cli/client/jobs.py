"""A job's way through a deployment: submitted, followed, told in lines."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from cli.client.archives import zip_photos
from cli.client.errors import JobEnded
from cli.client.http import Api
from cli.client.transfer import upload
from cli.display import Display, duration
from tasks.errors import BadOption

POLL_SECONDS = 1.0
LOST_SECONDS = 180.0  # a run whose host is gone is noticed and made again within that
MIB = 1 << 20
STEP_NAMES = {"Processing video": "extract", "Generating 3D scene": "train"}


def submit(api: Api, source: Path, fields: dict[str, Any], display: Display) -> dict[str, Any]:
    """Uploads a video, a zip or a folder of photos and makes a job of it; returns the API's answer.

    Args:
        fields: of the submit's body; None: left to the deployment's default.

    Raises:
        BadOption: there is no such file.
        NoPhotos: a folder without photos.
        Refused, UploadRefused, Unreachable: see `cli.client.errors`.
    """
    if not source.exists():
        raise BadOption(f"{source} does not exist; give a video, or a folder or zip of photos.")
    display.begin("upload")

    def advance(done: int, total: int) -> None:
        display.advance(done, total, f"{done / MIB:.1f} of {total / MIB:.1f} MiB")

    began = time.monotonic()
    with TemporaryDirectory(prefix="splatflow-") as scratch:
        file = source
        if source.is_dir():
            file = Path(scratch) / "photos.zip"
            zip_photos(source, file)
        blob_name = upload(api, file, advance)
        size = file.stat().st_size
    body = {"blob_name": blob_name, **{name: value for name, value in fields.items() if value is not None}}
    job = api.send("POST", "submit-job/", body, headers={"Idempotency-Key": uuid4().hex})
    display.end(f"{size / MIB:.1f} MiB in {duration(time.monotonic() - began)}")
    return job


def follow(api: Api, job_id: str, display: Display) -> dict[str, Any]:
    """Waits for a job's end and shows its steps; returns the last detail.

    Raises:
        JobEnded: it ended without a scene, with the job's reason.
        Refused: there is no such job any more.
        Unreachable: no connection for minutes.
    """
    shown, began, lost_since = "", time.monotonic(), None
    while True:
        job = api.get(f"jobs/{job_id}/")
        status = job["status"]
        step = _step(job)
        if step != shown:
            if shown:
                display.end(f"in {duration(time.monotonic() - began)}")
            shown, began = step, time.monotonic()
            if step:
                display.begin(step)
        if status == "Finished":
            return job
        if status == "Failed":
            raise ended(job)
        lost_since = (lost_since or time.monotonic()) if status == "Not found" else None
        if lost_since is not None and time.monotonic() - lost_since > LOST_SECONDS:
            raise JobEnded("The deployment has lost the job's run; retry it.", code="lost")
        percent = job.get("percent_complete" if step == "train" else "step_percent")
        display.advance(percent or 0, 100 if percent is not None else 0, _note(job))
        time.sleep(POLL_SECONDS)


def ended(job: dict[str, Any]) -> JobEnded:
    """A failed job's reason as an error."""
    message = job.get("error_message") or "The job failed; the deployment does not say why."
    return JobEnded(message, code=job.get("error_code") or "failed")


def lines(job: dict[str, Any]) -> list[str]:
    """A job's detail for people."""
    found = [("job", job["job_id"]), ("title", job["title"]), ("status", job["status"])]
    if job.get("percent_complete") is not None and job["status"] not in ("Finished", "Failed"):
        found.append(("done", f"{job['percent_complete']} %"))
    if job.get("current_step") and job["status"] not in ("Finished", "Failed"):
        found.append(("step", job["current_step"]))
    if job.get("estimated_time_remaining") is not None:
        found.append(("remaining", f"about {duration(job['estimated_time_remaining'])}"))
    if job.get("error_message"):
        found.append(("reason", f"[{job.get('error_code')}] {job['error_message']}"))
    if job.get("run_url"):
        found.append(("run", job["run_url"]))
    times = (job.get("quality") or {}).get("step_seconds") or {}
    if isinstance(times, dict) and times:
        found.append(("time", ", ".join(f"{name} {duration(seconds)}" for name, seconds in times.items())))
    sizes = {kind: file.get("bytes", 0) for kind, file in (job.get("files") or {}).items()}
    if sizes:
        found.append(("files", ", ".join(f"{kind} {size_text(size)}" for kind, size in sizes.items())))
    found += [("warning", warning_text(warning)) for warning in job.get("warnings") or []]
    return [f"{name:<10} {value}" for name, value in found]


def size_text(size: int) -> str:
    """Bytes for people."""
    return f"{size / MIB:.1f} MiB" if size >= MIB else f"{size / 1024:.1f} KiB"


def warning_text(warning: Any) -> str:
    """A warning's sentence."""
    return str(warning.get("message", warning)) if isinstance(warning, dict) else str(warning)


def _step(job: dict[str, Any]) -> str:
    status = job["status"]
    if status.startswith("Queued"):
        return "queue"
    if status in ("Finished", "Failed"):
        return ""
    return job.get("current_step") or STEP_NAMES.get(status, "wait")


def _note(job: dict[str, Any]) -> str:
    # Training is nearly the last step, and the display tells its own time remaining from the recent pace.
    training = job["status"] == "Generating 3D scene"
    remaining = None if training else job.get("estimated_time_remaining")
    left = f", about {duration(remaining)} left in all" if remaining is not None else ""
    return job["status"] + left
