"""A deployment that keeps to the contract as far as its clients need, with faults on demand."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

URL = "http://deployment.test"
STORE = "http://store.test"
KEY = "sfk_fake"
JOB = "6f1c2f0e-4a7b-4f0a-9a53-6f6f9d3a1c55"


def model_zip() -> bytes:
    """What a deployment sends as `colmap`."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("images/frame_000000.jpg", b"jpeg")
        archive.writestr("colmap/cameras.bin", b"cameras")
    return raw.getvalue()


@dataclass
class FakeDeployment:
    """Answers like a deployment with one job.

    Attributes:
        statuses: of the job, one for each look at it; the last one stays.
        files: by download type.
        break_downloads: so many downloads break in their middle.
        break_uploads: so many uploads break.
        faults: answers given before anything else, one for each request to the API; an exception is raised.
    """

    statuses: list[dict[str, Any]] = field(default_factory=lambda: [{"status": "Finished"}])
    files: dict[str, bytes] = field(
        default_factory=lambda: {
            "ply": b"ply" * 100_000,
            "spz": b"spz",
            "report": b'{"warnings": []}',
            "report_html": b"<html>",
            "camera": b"{}",
            "colmap": model_zip(),
        }
    )
    break_downloads: int = 0
    break_uploads: int = 0
    faults: list[httpx.Response | Exception] = field(default_factory=list)
    damage: bool = False
    ranges: bool = True
    uploads: list[bytes] = field(default_factory=list)
    submitted: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    asked_ranges: list[str | None] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "store.test":
            return self._store(request)
        path = request.url.path.removeprefix("/api/v1/")
        self.requests.append((request.method, path))
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Exception):
                raise fault
            return fault
        if request.headers.get("authorization") != f"Api-Key {KEY}":
            return error(401, "invalid_api_key", "Invalid API key")
        return self._api(request, path)

    def _api(self, request: httpx.Request, path: str) -> httpx.Response:
        match (request.method, path.strip("/").split("/")):
            case ("POST", ["generate-upload-url"]):
                if json.loads(request.content)["file_extension"] not in ("mp4", "zip"):
                    return error(400, "bad_value", "Invalid file format")
                return httpx.Response(200, json={"url": f"{STORE}/up", "blob_name": "videos/1.mp4"})
            case ("POST", ["submit-job"]):
                assert request.headers["idempotency-key"]
                self.submitted.append(json.loads(request.content))
                return httpx.Response(201, json={"success": True, **self.detail(), "status": "queued"})
            case ("GET", ["jobs"]):
                return httpx.Response(200, json=[{"job_id": JOB, "title": "A room"}])
            case (method, ["jobs", job, *rest]) if job == JOB:
                return self._job(method, rest)
            case _:
                return error(404, "job_not_found", "Job not found")

    def _job(self, method: str, rest: list[str]) -> httpx.Response:
        match (method, rest):
            case ("GET", []):
                found = self.detail()
                if len(self.statuses) > 1:
                    self.statuses.pop(0)
                return httpx.Response(200, json=found)
            case ("DELETE", []):
                return httpx.Response(204)
            case ("POST", ["cancel"]):
                return httpx.Response(200, json=self.detail() | {"status": "Failed", "error_code": "cancelled"})
            case ("POST", ["retry"]):
                return error(409, "wrong_state", "Only a failed job can be retried.")
            case ("GET", ["download", kind]) if kind in self.files:
                return httpx.Response(302, headers={"Location": f"{STORE}/{kind}"})
            case ("GET", ["preview"]):
                return httpx.Response(302, headers={"Location": f"{STORE}/preview"})
            case _:
                return error(404, "not_available", "PLY file not available for this job")

    def _store(self, request: httpx.Request) -> httpx.Response:
        assert "authorization" not in request.headers
        if request.method == "PUT":
            body = request.read()
            if self.break_uploads:
                self.break_uploads -= 1
                raise httpx.WriteError("broken pipe")
            assert request.headers["x-ms-blob-type"] == "BlockBlob"
            assert int(request.headers["content-length"]) == len(body)
            self.uploads.append(body)
            return httpx.Response(201)
        data = b"jpeg" if request.url.path == "/preview" else self.files[request.url.path.strip("/")]
        asked = request.headers.get("range")
        self.asked_ranges.append(asked)
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        headers = {"Content-Length": str(len(data) - begin), "ETag": '"1"'}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        body = b"x" * len(data) if self.damage else data[begin:]
        breaks = self.break_downloads > 0 and len(data) > 1000
        self.break_downloads -= breaks
        stream = Breaking(body, len(body) // 2 if breaks else None)
        return httpx.Response(206 if begin else 200, headers=headers, stream=stream)

    def detail(self) -> dict[str, Any]:
        """The job as it is now."""
        files = {k: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for k, data in self.files.items()}
        return {
            "job_id": JOB,
            "title": "A room",
            "percent_complete": None,
            "current_step": None,
            "error_code": None,
            "error_message": None,
            "warnings": [],
            "files": files if self.statuses[0]["status"] == "Finished" else {},
            **self.statuses[0],
        }


class Breaking(httpx.SyncByteStream):
    """A body that breaks after some bytes."""

    def __init__(self, data: bytes, after: int | None) -> None:
        self._data, self._after = data, after

    def __iter__(self) -> Iterator[bytes]:
        yield self._data[: self._after]
        if self._after is not None:
            raise httpx.ReadError("connection reset")


def error(status: int, code: str, message: str, **headers: str) -> httpx.Response:
    """An error of the API."""
    return httpx.Response(status, json={"error": message, "code": code}, headers=headers)
