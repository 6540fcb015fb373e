"""The API over a store that serves its own URLs."""

from uuid import uuid4

import httpx
import pytest

from api.app import create_app
from storage.s3 import S3Store
from tests.api.site import TestClient
from tests.support.s3_server import s3_server

__all__ = ["s3_server"]


@pytest.fixture
def s3_site(site, s3_server):
    site.store = S3Store(
        endpoint=s3_server.endpoint,
        bucket=f"test-{uuid4().hex[:12]}",
        access_key=s3_server.access_key,
        secret_key=s3_server.secret_key,
        create_bucket=True,
    )
    site.store.check()
    site.settings = site.settings.model_copy(update={"max_upload_bytes": 1000})
    site.app = create_app(site.settings, site.database, site.store)
    site.client = TestClient(site.app, follow_redirects=False)
    return site


def test_upload_submit_and_download(s3_site):
    given = s3_site.call("POST", "generate-upload-url/", json={"file_extension": "mp4"}).json()
    assert httpx.put(given["url"], content=b"video", headers={"x-ms-blob-type": "BlockBlob"}).status_code == 200
    job = s3_site.call("POST", "submit-job/", json={"blob_name": given["blob_name"], "title": "A b"}).json()["job_id"]
    assert httpx.put(given["url"], content=b"other").status_code == 200
    assert s3_site.store.get_bytes(f"jobs/{job}/source.mp4") == b"video"
    s3_site.finish(job, ply=b"ply")
    answer = httpx.get(s3_site.call("GET", f"jobs/{job}/download/ply/").headers["Location"])
    assert (answer.status_code, answer.content) == (200, b"ply")
    assert s3_site.client.get("/objects/videos/x.mp4").status_code == 404


def test_what_is_too_large_is_refused_on_submit_and_removed(s3_site):
    given = s3_site.call("POST", "generate-upload-url/", json={"file_extension": "mp4"}).json()
    assert httpx.put(given["url"], content=b"x" * 1001).status_code == 200
    answer = s3_site.call("POST", "submit-job/", json={"blob_name": given["blob_name"]})
    assert answer.status_code == 400
    assert "1000" in answer.json()["error"]
    assert s3_site.store.stat(given["blob_name"]) is None
    assert s3_site.rows() == []
