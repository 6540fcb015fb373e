"""A client of the service as the reference describes it: HTTP only, nothing of the service's own code."""

import contextlib
import functools
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx

JUNK = b"This is not a video, so a job made of it fails as soon as it runs.\n" * 8
BLOCK_BLOB = {"x-ms-blob-type": "BlockBlob"}


class Route(NamedTuple):
    """One documented request; `{job}` in the path stands for a job's id."""

    method: str
    path: str
    body: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def writes(self) -> bool:
        return self.method not in ("GET", "HEAD")


JOB_ROUTES = [
    Route("GET", "jobs/{job}/"),
    Route("HEAD", "jobs/{job}/"),
    Route("PATCH", "jobs/{job}/", {"title": "New title"}),
    Route("PUT", "jobs/{job}/", {"title": "New title"}),
    Route("GET", "jobs/{job}/download/ply/"),
    Route("GET", "jobs/{job}/download/report/"),
    Route("GET", "jobs/{job}/preview/"),
    Route("POST", "jobs/{job}/cancel/"),
    Route("POST", "jobs/{job}/retry/"),
    Route("GET", "jobs/{job}/events/"),
    Route("DELETE", "jobs/{job}/"),
]
ROUTES = [
    Route("POST", "generate-upload-url/", {"file_extension": "mp4"}),
    Route("POST", "submit-job/", {"blob_name": "videos/00000000-0000-4000-8000-000000000000.mp4"}),
    Route("GET", "jobs/"),
    *JOB_ROUTES,
]


@functools.cache
def client() -> httpx.Client:
    """The connections of this process; `close_client` ends them."""
    return httpx.Client(timeout=30, trust_env=False)


def close_client() -> None:
    client().close()
    client.cache_clear()


@dataclass
class Api:
    """The service as one key sees it. Paths are relative to `/api/v1/`; redirects aren't followed.

    Attributes:
        url: of the deployment, without a slash at its end.
        key: sent as `Authorization: Api-Key`; None sends no such header.
    """

    url: str
    key: str | None
    jobs: list[str] = field(default_factory=list)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return client().request(method, f"{self.url}/api/v1/{path}", **self._with_key(options))

    def _with_key(self, options: dict[str, Any]) -> dict[str, Any]:
        own = {} if self.key is None else {"Authorization": f"Api-Key {self.key}"}
        return {**options, "headers": {**own, **options.get("headers", {})}}

    def call(self, route: Route, job: str | None = None, **options: Any) -> httpx.Response:
        """A request of a route, with the job's id put into the path."""
        path = route.path.format(job=job or uuid.uuid4())
        return self.request(route.method, path, json=route.body, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def patch(self, path: str, **options: Any) -> httpx.Response:
        return self.request("PATCH", path, **options)

    def send_text(self, method: str, path: str, text: str | bytes) -> httpx.Response:
        """A body that needn't be JSON, sent as JSON."""
        data = text if isinstance(text, bytes) else text.encode()
        return self.request(method, path, content=data, headers={"Content-Type": "application/json"})

    def upload_url(self, extension: str = "mp4") -> dict[str, str]:
        response = self.post("generate-upload-url/", json={"file_extension": extension})
        assert response.status_code == 200, response.text
        return response.json()

    def uploaded(self, data: bytes = JUNK, extension: str = "mp4") -> str:
        """The blob name of a new upload that holds `data`."""
        upload = self.upload_url(extension)
        response = outside("PUT", upload["url"], content=data, headers=BLOCK_BLOB)
        assert response.is_success, response.text
        return upload["blob_name"]

    def submit(self, **body: Any) -> dict[str, Any]:
        """The answer to a submit that must succeed; the job goes when the test ends."""
        response = self.post("submit-job/", json=body)
        assert response.status_code == 201, response.text
        answer = response.json()
        self.jobs.append(answer["job_id"])
        return answer

    def detail(self, job: str) -> dict[str, Any]:
        response = self.get(f"jobs/{job}/")
        assert response.status_code == 200, response.text
        return response.json()

    def delete_jobs(self) -> None:
        """Deletes what `submit` made."""
        while self.jobs:
            assert self.request("DELETE", f"jobs/{self.jobs.pop()}/").status_code in (204, 404)

    @contextlib.contextmanager
    def events(self, job: str, *, timeout: float = 30) -> Iterator[Iterator[str]]:
        """The lines of a job's event stream as they come; no byte for `timeout` seconds raises."""
        limits = httpx.Timeout(10, read=timeout)
        url = f"{self.url}/api/v1/jobs/{job}/events/"
        with client().stream("GET", url, **self._with_key({"timeout": limits})) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            yield response.iter_lines()


def outside(method: str, url: str, **options: Any) -> httpx.Response:
    """A request to an absolute (signed) URL without any key."""
    return client().request(method, url, timeout=60, **options)


def follow(api: Api, path: str, *, with_key: bool = False, **options: Any) -> httpx.Response:
    """What the signed URL of a 302 gives; the key is sent along only `with_key`."""
    response = api.get(path)
    assert response.status_code == 302, response.text
    if with_key:
        options["headers"] = {**options.get("headers", {}), "Authorization": f"Api-Key {api.key}"}
    return outside("GET", response.headers["location"], **options)


def job_events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The job details that a stream of server-sent events carries."""
    name, data = "", []
    for line in lines:
        if line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            assert name == "job"
            yield json.loads("\n".join(data))
            name, data = "", []
