"""The pages that the API serves, and what they are told."""

import json
import re
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest

from api import pages
from storage import scene_links
from storage.settings import Settings
from tests.api.site import Site, new_site

EVIL = "</script><script>alert(1)</script><!-- \u2028 &amp; 'x' \"y\""


@pytest.fixture
def private(site: Site) -> str:
    """A finished private job."""
    job = site.submit(title="My room")["job_id"]
    site.finish(job, spz=b"splats", ply=b"points", report=b"{}")
    return job


def data_of(answer: Any) -> dict[str, Any]:
    """What a page was told."""
    found = re.search(r'<script id="page-data" type="application/json">(.*?)</script>', answer.text, re.DOTALL)
    assert found, answer.text[:300]
    return json.loads(found[1])


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def signed(site: Site, job: str, seconds: int) -> str:
    """A link that ends in so many seconds."""
    expires = int(time.time()) + seconds
    secret = site.settings.signing_secret.get_secret_value().encode()
    return f"/scenes/{job}?expires={expires}&signature={scene_links.sign(secret, UUID(job), expires)}"


def test_the_jobs_page_needs_no_key_and_runs_nothing_foreign(site: Site) -> None:
    answer = site.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self' 'wasm-unsafe-eval';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert data_of(answer) == {"max_upload_bytes": site.settings.max_upload_bytes}
    scripts = re.findall(r"<script[^>]*>", answer.text)
    assert all("src=" in tag or 'type="application/json"' in tag for tag in scripts)
    assert not re.search(r"(src|href)=\"(https?:)?//", answer.text)


def test_what_a_page_names_is_there_forever_and_packed(site: Site) -> None:
    names = re.findall(r'(?:src|href)="(/assets/[^"]+)"', site.client.get("/").text)
    assert any(name.endswith(".js") for name in names)
    for name in names:
        plain = site.client.get(name, headers={"Accept-Encoding": "identity"})
        packed = site.client.get(name, headers={"Accept-Encoding": "gzip"})
        assert plain.status_code == packed.status_code == 200
        assert plain.content == packed.content
        assert "immutable" in plain.headers["cache-control"]
        assert plain.headers["content-type"].startswith(("text/javascript", "text/css", "image/svg+xml"))
        assert site.client.head(name).status_code == 200


@pytest.mark.parametrize("name", ["nothing.js", "..%2Findex.html", "../index.html", "%2e%2e/stamp.txt", "x.gz"])
def test_nothing_else_is_served(site: Site, name: str) -> None:
    answer = site.client.get(f"/assets/{name}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_a_public_scene_is_for_everybody(site: Site, private: str) -> None:
    site.call("PATCH", f"jobs/{private}/", json={"public": True})
    detail = site.call("GET", f"jobs/{private}/").json()
    assert path_of(detail["viewer_url"]) == f"/scenes/{private}"
    answer = site.client.get(f"/scenes/{private}")
    assert answer.status_code == 200
    told = data_of(answer)
    assert told["state"] == "viewable"
    assert told["embed"] is False
    scene = told["scene"]
    assert scene["title"] == "My room"
    assert scene["link_expires"] is None
    assert scene["files"].keys() == {"spz", "ply"}  # the video's frames (colmap) and the report are the owner's
    assert scene["files"]["spz"]["bytes"] == 6
    assert site.client.get(path_of(scene["files"]["spz"]["url"])).content == b"splats"
    assert site.client.get(scene["data_url"]).json() | {"files": 0} == scene | {"files": 0}
    assert site.key not in answer.text
    assert site.client.get(f"/scenes/{private}/").status_code == 200
    assert site.client.head(f"/scenes/{private}").status_code == 200


def test_a_private_scene_is_for_who_has_its_link(site: Site, private: str) -> None:
    link = path_of(site.call("GET", f"jobs/{private}/").json()["viewer_url"])
    answer = site.client.get(link)
    assert answer.status_code == 200
    scene = data_of(answer)["scene"]
    query = parse_qs(urlsplit(link).query)
    assert scene["link_expires"] == int(query["expires"][0])
    assert scene["link_expires"] - time.time() >= site.settings.viewer_url_seconds - 5
    assert path_of(scene["page_url"]) == link
    assert site.client.get(scene["data_url"]).status_code == 200
    again = path_of(site.call("GET", f"jobs/{private}/").json()["viewer_url"])
    assert again == link  # the same for a while: pages that poll see no change


def test_private_unknown_and_deleted_scenes_look_alike(site: Site, private: str) -> None:
    other = site.submit()["job_id"]
    foreign = path_of(site.call("GET", f"jobs/{other}/").json()["viewer_url"]).partition("?")[2]
    link = path_of(site.call("GET", f"jobs/{private}/").json()["viewer_url"])
    tampered = [link[:-1] + ("A" if link[-1] != "A" else "B"), link.replace("expires=1", "expires=9"), link + "x"]
    paths = [
        f"/scenes/{private}",
        f"/scenes/{private}?{foreign}",
        f"/scenes/{uuid4()}",
        f"/scenes/{uuid4()}?{foreign}",
        "/scenes/nonsense",
        "/scenes/%00%ff",
        *tampered,
    ]
    answers = [site.client.get(path) for path in paths]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert data_of(answers[0]) == {"embed": False, "state": "unavailable", "scene": None}
    for path in paths[:3]:
        bare, _, query = path.partition("?")
        for part in ("data", "events"):
            refused = site.client.get(f"{bare}/{part}?{query}")
            assert refused.status_code == 404
            assert refused.json()["code"] == "scene_unavailable"
    assert site.call("DELETE", f"jobs/{private}/").status_code == 204
    gone = site.client.get(link)
    assert (gone.status_code, gone.text) == (404, answers[0].text)


def test_a_link_ends_and_says_so(site: Site, private: str) -> None:
    assert site.client.get(signed(site, private, 60)).status_code == 200
    late = site.client.get(signed(site, private, -1))
    assert late.status_code == 403
    assert data_of(late) == {"embed": False, "state": "expired", "scene": None}
    refused = site.client.get(signed(site, private, -1).replace("?", "/data?"))
    assert refused.status_code == 403
    assert refused.json()["code"] == "link_expired"


def test_a_scenes_signature_opens_no_object_and_the_other_way_round(site: Site, private: str) -> None:
    link = urlsplit(site.call("GET", f"jobs/{private}/").json()["viewer_url"])
    assert site.client.get(f"/objects/jobs/{private}/outputs/1/spz?{link.query}").status_code == 403
    location = urlsplit(site.call("GET", f"jobs/{private}/download/spz/").headers["location"])
    query = {name: values[0] for name, values in parse_qs(location.query).items()}
    page = f"/scenes/{private}?expires={query['expires']}&signature={query['signature']}"
    assert site.client.get(page).status_code == 404


def test_only_embeds_may_be_framed(site: Site, private: str) -> None:
    site.call("PATCH", f"jobs/{private}/", json={"public": True})
    plain, embed = site.client.get(f"/scenes/{private}"), site.client.get(f"/scenes/{private}?embed=1")
    assert "frame-ancestors 'none'" in plain.headers["content-security-policy"]
    assert "frame-ancestors *" in embed.headers["content-security-policy"]
    assert "x-frame-options" not in embed.headers
    assert data_of(embed)["embed"] is True


def test_a_title_is_text(site: Site, private: str) -> None:
    title = EVIL.replace("\u2028", "")
    assert site.call("PATCH", f"jobs/{private}/", json={"title": title, "public": True}).status_code == 200
    answer = site.client.get(f"/scenes/{private}")
    assert data_of(answer)["scene"]["title"] == title
    assert answer.text.count("<script") == site.client.get(f"/scenes/{uuid4()}").text.count("<script")
    assert "alert(1)</script>" not in answer.text


def test_a_page_of_a_running_job_shows_how_far_it_is(site: Site) -> None:
    job = site.submit(public=True)["job_id"]
    waiting = data_of(site.client.get(f"/scenes/{job}"))
    assert waiting["state"] == "waiting"
    assert waiting["scene"]["files"] == {}
    assert waiting["scene"]["preview_url"] is None
    site.store.put_bytes(f"jobs/{job}/previews/1/1.jpg", b"picture")
    site.set(job, state="running", step="train", percent=40, preview_key=f"jobs/{job}/previews/1/1.jpg")
    scene = data_of(site.client.get(f"/scenes/{job}"))["scene"]
    assert (scene["status"], scene["percent_complete"]) == ("Generating 3D scene", 40)
    assert site.client.get(path_of(scene["preview_url"])).content == b"picture"
    site.set(job, state="failed", error_code="too_dark", error_message="It is too dark.")
    failed = data_of(site.client.get(f"/scenes/{job}"))
    assert (failed["state"], failed["scene"]["error_message"]) == ("failed", "It is too dark.")


def test_looks_are_counted_by_address(tmp_path: Any, empty_database: Any) -> None:
    site = new_site(tmp_path, empty_database, limit_pages="3/minute")
    try:
        statuses = [site.client.get(f"/scenes/{uuid4()}").status_code for _ in range(4)]
        assert statuses == [404, 404, 404, 429]
        assert site.client.get("/").status_code == 200
    finally:
        site.close()


def test_the_policy_admits_the_object_store(tmp_path: Any) -> None:
    settings = Settings(
        data=tmp_path,
        object_store="s3",
        s3_endpoint="http://10.0.0.1:9000",
        s3_public_endpoint="https://s3.example.org",
    )
    policy = pages.headers(settings)["Content-Security-Policy"]
    assert "connect-src 'self' data: blob: https://s3.example.org;" in policy
    assert "10.0.0.1" not in policy
    assert "https://s3.example.org" not in policy.partition("script-src")[2].partition(";")[0]


def test_the_list_gives_whole_details_when_asked(site: Site, private: str) -> None:
    second = site.submit(title="Second")["job_id"]
    answer = site.call("GET", "jobs/?detail=true")
    assert answer.headers["x-total-count"] == "2"
    assert [job["job_id"] for job in answer.json()] == [second, private]
    assert answer.json()[1] == site.call("GET", f"jobs/{private}/").json()
    assert [job["job_id"] for job in site.call("GET", "jobs/?detail=true&status=finished&limit=1").json()] == [private]
    assert site.call("GET", "jobs/?detail=true&limit=101").status_code == 400
    assert site.call("GET", "jobs/?detail=yes").json()["field"] == "detail"
    assert site.call("GET", "jobs/?detail=false").json()[0].keys() == {"job_id", "title"}
