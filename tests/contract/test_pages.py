"""Scene pages: who may look at what without a key."""

import json
import re
from uuid import uuid4

from tests.contract.client import Api, client, outside
from tests.contract.conftest import Service


def test_the_viewer_url_of_a_private_job_opens_its_page_without_a_key(service: Service, api: Api, junk: str) -> None:
    job = api.submit(blob_name=junk, title="Behind a link")
    url = job["viewer_url"]
    assert url == api.detail(job["job_id"])["viewer_url"]
    page = outside("GET", url)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "unsafe-inline" not in page.headers["content-security-policy"]
    told = re.search(r'id="page-data" type="application/json">(.*?)</script>', page.text, re.DOTALL)
    assert told
    scene = json.loads(told[1])["scene"]
    assert scene["title"] == "Behind a link"
    bare = outside("GET", f"{service.url}/scenes/{job['job_id']}")
    unknown = outside("GET", f"{service.url}/scenes/{uuid4()}")
    assert (bare.status_code, bare.text) == (unknown.status_code, unknown.text)
    assert bare.status_code == 404
    assert outside("GET", f"{url[:-2]}__").status_code == 404


def test_a_public_scene_needs_no_link_until_it_is_private_again(service: Service, api: Api, junk: str) -> None:
    job = api.submit(blob_name=junk, public=True)["job_id"]
    page = f"{service.url}/scenes/{job}"
    assert api.detail(job)["viewer_url"] == page
    assert outside("GET", page).status_code == 200
    assert api.patch(f"jobs/{job}/", json={"public": False}).status_code == 200
    assert outside("GET", page).status_code == 404
    assert outside("GET", f"{page}/data").json()["code"] == "scene_unavailable"


def test_an_open_page_learns_that_its_scene_is_gone(service: Service, api: Api, junk: str) -> None:
    job = api.submit(blob_name=junk, public=True)["job_id"]
    with client().stream("GET", f"{service.url}/scenes/{job}/events", timeout=30) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert next(lines) == "event: scene"
        assert json.loads(next(lines).removeprefix("data: "))["job_id"] == job
        assert api.request("DELETE", f"jobs/{job}/").status_code == 204
        assert "event: gone" in lines
    assert outside("GET", f"{service.url}/scenes/{job}").status_code == 404


def test_only_an_embed_may_be_framed(service: Service, api: Api, junk: str) -> None:
    job = api.submit(blob_name=junk, public=True)["job_id"]
    page = f"{service.url}/scenes/{job}"
    assert "frame-ancestors 'none'" in outside("GET", page).headers["content-security-policy"]
    assert "frame-ancestors *" in outside("GET", f"{page}?embed=1").headers["content-security-policy"]
