"""A job's row as clients see it. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from storage.tables import FAILED, FINISHED, LOST, QUEUED, RUNNING

GENERATING = ("train", "mesh", "turntable", "export")
ENDED = (FINISHED, FAILED, LOST)


def status_of(job: Any) -> str:
    """The status text.

    Args:
        job: a job's row.
    """
    match job.state:
        case "queued":
            return "Queued" if job.queue_position is None else f"Queued - position: {job.queue_position}"
        case "running":
            return "Generating 3D scene" if job.step in GENERATING else "Processing video"
        case "finished":
            return "Finished"
        case "failed":
            return "Failed"
        case _:
            return "Not found"


def detail(
    job: Any, *, remaining_seconds: int | None, viewer_url: str | None, run_url: str | None = None
) -> dict[str, Any]:
    """The job's detail, in JSON's types.

    Args:
        job: a job's row.
        remaining_seconds: the estimate for it, see `api.estimate`.
        viewer_url: of its page, see `api.links`.
        run_url: of its run in Prefect's UI.
    """
    finished = job.state == FINISHED
    files = job.files if finished else {}
    return {
        "job_id": str(job.id),
        "title": job.title,
        "status": status_of(job),
        "percent_complete": percent_of(job),
        "uploaded_at": instant(job.created_at),
        "public": job.public,
        "reconstruction_method": job.reconstruction_method,
        "training_max_num_gaussians": job.training_max_num_gaussians,
        "training_num_steps": job.training_num_steps,
        "remove_background": job.remove_background,
        "has_ply": "ply" in files,
        "has_spz": "spz" in files,
        "camera_data": camera(job),
        "current_step": job.step,
        "step_percent": step_percent_of(job),
        "queue_position": job.queue_position if job.state == QUEUED else None,
        "estimated_time_remaining": remaining_seconds,
        "error_code": job.error_code,
        "error_message": job.error_message,
        "warnings": job.warnings or [],
        "apriltag_size_mm": job.apriltag_size_mm,
        "mesh": job.mesh,
        "turntable": job.turntable,
        "camera_type": job.camera_type,
        "max_frames": job.max_frames,
        "train_side_px": job.train_side_px,
        "priority": job.priority,
        "scale": job.scale,
        "quality": job.quality,
        "files": {kind: {"bytes": file.get("bytes", 0), "sha256": file.get("sha256")} for kind, file in files.items()},
        "started_at": instant(job.started_at),
        "finished_at": instant(job.finished_at),
        "viewer_url": viewer_url,
        "run_url": run_url,
        "reprocessing": job.reprocessing,
        "expired_at": instant(job.expired_at),
    }


def submitted(job: Any) -> dict[str, Any]:
    """The answer to the submit that made this job; it is kept, so the link, which may be signed, comes in later."""
    return {"success": True, **detail(job, remaining_seconds=None, viewer_url=None), "status": "queued"}


def entry(job_id: UUID, title: str) -> dict[str, Any]:
    """A job in the list."""
    return {"job_id": str(job_id), "title": title}


def camera(job: Any) -> dict[str, Any] | None:
    """`camera_data`: what the client has set, else what was computed; None until known."""
    data: Mapping[str, Any] | None = job.camera_set or job.camera_computed
    if not data:
        return None
    shown = {name: data[name] for name in ("position", "lookAt", "up")}
    camera_type = data.get("cameraType") or job.camera_type
    if camera_type is not None:
        shown["cameraType"] = camera_type
    return shown


def percent_of(job: Any) -> int | None:
    """`percent_complete`: of the training; None before."""
    if job.state == FINISHED:
        return 100
    # From the moment that the status says so, also before the training's first word.
    return 0 if job.percent is None and job.state == RUNNING and job.step in GENERATING else job.percent


def step_percent_of(job: Any) -> int | None:
    """How far the current step is, in its own units; unlike the training's percentage it may start over within a step."""
    if job.state != RUNNING or not job.step_total or job.step_done is None:
        return None
    return max(0, min(100, 100 * job.step_done // job.step_total))


def instant(moment: datetime | None) -> str | None:
    """UTC, ISO 8601, whole seconds."""
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
