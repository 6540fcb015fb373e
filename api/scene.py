"""What the page of a scene is told. It holds signed URLs of the files and never a key."""

from typing import Any
from urllib.parse import urlencode

from api import present
from api.file_urls import output_url, preview_url
from api.service import Service
from storage.tables import FAILED, FINISHED, LOST

SHOWN_FILES = ("spz", "ply", "mp4", "poster", "views")
QUALITY = ("psnr_db", "ssim", "subject_psnr_db", "frames_given", "frames_registered", "num_gaussians")
VIEWABLE, WAITING, FAILED_STATE = "viewable", "waiting", "failed"


def scene(service: Service, job: Any, *, query: dict[str, str], base: str) -> dict[str, Any]:
    """The page's data of a job's row, in JSON's types.

    Args:
        query: of the signed link that was used; empty when the scene is public.
        base: where clients reach the service.
    """
    tail = f"?{urlencode(query)}" if query else ""
    page = f"/scenes/{job.id}"
    finished = job.state == FINISHED
    scale = job.scale or {}
    return {
        "job_id": str(job.id),
        "title": job.title,
        "public": job.public,
        "state": VIEWABLE if finished else FAILED_STATE if job.state in (FAILED, LOST) else WAITING,
        "status": present.status_of(job),
        "percent_complete": present.percent_of(job),
        "current_step": job.step,
        "step_percent": present.step_percent_of(job),
        "queue_position": job.queue_position if job.state == "queued" else None,
        "estimated_time_remaining": service.estimates.of(job),
        "error_code": job.error_code,
        "error_message": job.error_message,
        "uploaded_at": present.instant(job.created_at),
        "finished_at": present.instant(job.finished_at),
        "expired_at": present.instant(job.expired_at),
        "camera_data": present.camera(job),
        "metric": scale.get("status") == "scaled",
        "scale_uncertainty": scale.get("relative_uncertainty"),
        "quality": {name: (job.quality or {}).get(name) for name in QUALITY},
        "files": {
            kind: {"url": output_url(service, job, kind, base), "bytes": job.files[kind].get("bytes", 0)}
            for kind in SHOWN_FILES
            if finished and kind in job.files
        },
        "preview_url": preview_url(service, job, base),
        "files_expire_seconds": service.settings.download_url_seconds,
        "data_url": f"{page}/data{tail}",
        "events_url": f"{page}/events{tail}",
        "page_url": f"{base}{page}{tail}",
        "link_expires": int(query["expires"]) if query else None,
    }
