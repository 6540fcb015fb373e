"""What the contract says of every answer: error bodies, times, a job's fields and their types."""

import math
import re
import uuid
from collections.abc import Mapping
from typing import Any

import httpx

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
SLUG = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
BLOB_NAME = re.compile(r"videos/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(mp4|mov|m4v|webm|mkv|avi|zip)")
POSITION = re.compile(r"Queued - position: ([1-9]\d*)")
STATUSES = ("Queued", "Processing video", "Generating 3D scene", "Finished", "Failed", "Not found")
REFERENCE = {
    "job_id",
    "title",
    "status",
    "percent_complete",
    "uploaded_at",
    "public",
    "reconstruction_method",
    "training_max_num_gaussians",
    "training_num_steps",
    "remove_background",
    "has_ply",
    "has_spz",
    "camera_data",
}
ADDITIVE = {
    "current_step",
    "step_percent",
    "queue_position",
    "estimated_time_remaining",
    "error_code",
    "error_message",
    "warnings",
    "apriltag_size_mm",
    "mesh",
    "turntable",
    "camera_type",
    "priority",
    "scale",
    "quality",
    "files",
    "started_at",
    "finished_at",
    "viewer_url",
    "run_url",
    "reprocessing",
}


def check_error(
    response: httpx.Response,
    status: int,
    error: str | None = None,
    *,
    field: str | None = None,
    submit: bool = False,
) -> dict[str, Any]:
    """The error body of the contract.

    Args:
        error: the exact sentence, where the contract gives one.
        field: what a 400 must name; a part of it may be named more precisely ("camera_data.up").
        submit: `submit-job` carries two fields more.
    """
    assert response.status_code == status, f"{response.status_code} {response.text[:500]}"
    assert response.headers["content-type"].startswith("application/json")
    assert response.headers["x-request-id"]
    body = response.json()
    allowed = {"error", "code", "field"} | ({"success", "error_message"} if submit else set())
    assert set(body) <= allowed, body
    assert isinstance(body["error"], str)
    assert body["error"].strip()
    assert "\n" not in body["error"]
    assert SLUG.fullmatch(body["code"]), body
    if error is not None:
        assert body["error"] == error
    if status == 400:
        assert "field" in body, body
    if field is not None:
        assert re.split(r"[.\[]", body["field"])[0] == field, body
    if submit:
        assert body["success"] is False
        assert body["error_message"] == body["error"]
    return body


def check_time(text: object) -> None:
    """UTC, ISO 8601, `Z`, whole seconds."""
    assert isinstance(text, str), text
    assert TIME.fullmatch(text), text


def check_camera(camera: Mapping[str, Any]) -> None:
    """`{position, lookAt, up}` of finite `{x, y, z}`, plus `cameraType`."""
    assert {"position", "lookAt", "up"} <= set(camera) <= {"position", "lookAt", "up", "cameraType"}
    for part in ("position", "lookAt", "up"):
        assert set(camera[part]) == {"x", "y", "z"}
        for value in camera[part].values():
            assert isinstance(value, int | float)
            assert not isinstance(value, bool)
            assert math.isfinite(value)
    assert camera.get("cameraType", "orbital") in ("orbital", "drone")


def check_detail(detail: Mapping[str, Any]) -> None:
    """Every field of a job's detail is there and has its documented type."""
    assert set(detail) >= REFERENCE | ADDITIVE, (REFERENCE | ADDITIVE) - set(detail)
    assert str(uuid.UUID(detail["job_id"])) == detail["job_id"]
    assert isinstance(detail["title"], str)
    check_status(detail)
    check_time(detail["uploaded_at"])
    for name in ("public", "remove_background", "mesh", "has_ply", "has_spz"):
        assert isinstance(detail[name], bool), name
    for name in ("training_max_num_gaussians", "training_num_steps"):
        assert type(detail[name]) is int, name
    assert detail["reconstruction_method"] == detail["reconstruction_method"].lower()
    if detail["camera_data"] is not None:
        check_camera(detail["camera_data"])
    _check_additive(detail)


def check_status(detail: Mapping[str, Any]) -> None:
    """The status is a documented one, and progress and place in the queue agree with it."""
    status, percent, position = detail["status"], detail["percent_complete"], detail["queue_position"]
    placed = POSITION.fullmatch(status)
    assert placed or status in STATUSES, status
    if placed:
        assert position == int(placed[1])
    if status == "Queued":
        assert position is None
    assert percent is None or (type(percent) is int and 0 <= percent <= 100), percent
    if status.startswith(("Queued", "Processing video")):
        assert percent is None, (status, percent)
    if status == "Generating 3D scene":
        assert type(percent) is int, f"percent_complete is {percent!r} while the status is {status}"
    if status == "Finished":
        assert percent == 100
    if status == "Failed":
        assert SLUG.fullmatch(detail["error_code"])
        assert detail["error_message"]


def _check_additive(detail: Mapping[str, Any]) -> None:
    for name in ("current_step", "error_code", "error_message", "viewer_url", "run_url", "camera_type"):
        assert detail[name] is None or isinstance(detail[name], str), name
    for name in ("started_at", "finished_at"):
        if detail[name] is not None:
            check_time(detail[name])
    assert detail["queue_position"] is None or type(detail["queue_position"]) is int
    for name in ("estimated_time_remaining", "apriltag_size_mm"):
        assert detail[name] is None or type(detail[name]) in (int, float), name
    assert isinstance(detail["warnings"], list)
    for name in ("scale", "quality", "reprocessing"):
        assert detail[name] is None or isinstance(detail[name], dict), name
    assert isinstance(detail["files"], dict)
    for file in detail["files"].values():
        assert type(file["bytes"]) is int
        assert re.fullmatch(r"[0-9a-f]{64}", file["sha256"])
