"""The local store's signed URLs over HTTP."""

import time

import pytest

from storage import signing
from tests.api.site import SECRET, V1, new_site


def put_url(site) -> tuple[str, str]:
    answer = site.call("POST", "generate-upload-url/", json={"file_extension": "mp4"}).json()
    return answer["url"], answer["blob_name"]


@pytest.fixture
def finished(site):
    """Id of a job with a PLY of 1000 bytes."""
    job = site.submit(title='Fox & "Hound" ü')["job_id"]
    site.finish(job, ply=bytes(range(250)) * 4)
    return job


def ply_url(site, job) -> str:
    return site.call("GET", f"jobs/{job}/download/ply/").headers["Location"]


@pytest.mark.parametrize(
    "headers", [{}, {"x-ms-blob-type": "BlockBlob"}, {"Content-Type": "video/mp4"}, {"Authorization": "Api-Key wrong"}]
)
def test_put_takes_any_headers(site, headers):
    url, blob = put_url(site)
    answer = site.client.put(url, content=b"abc", headers=headers)
    assert answer.status_code == 201
    assert answer.headers["ETag"].startswith('"')
    assert site.store.get_bytes(blob) == b"abc"


def test_put_again_replaces_until_the_job_is_submitted(site):
    url, blob = put_url(site)
    assert site.client.put(url, content=b"first").status_code == 201
    assert site.client.put(url, content=(part for part in [b"sec", b"ond"])).status_code == 201
    job = site.call("POST", "submit-job/", json={"blob_name": blob}).json()["job_id"]
    late = site.client.put(url, content=b"third")
    assert (late.status_code, late.json()["code"]) == (409, "already_submitted")
    assert site.store.get_bytes(f"jobs/{job}/source.mp4") == b"second"


@pytest.mark.parametrize("chunked", [False, True])
def test_an_oversize_upload_is_a_413_that_names_the_limit(tmp_path, empty_database, chunked):
    site = new_site(tmp_path, empty_database, max_upload_bytes=1000)
    url, blob = put_url(site)
    content = (b"x" * 100 for _ in range(11)) if chunked else b"x" * 1001
    answer = site.client.put(url, content=content)
    assert answer.status_code == 413
    assert "1000 bytes" in answer.json()["error"]
    assert site.store.stat(blob) is None
    site.store.put_bytes(blob, b"x" * 1001)  # as a server of S3 would have taken it
    refused = site.call("POST", "submit-job/", json={"blob_name": blob})
    assert (refused.status_code, refused.json()["code"]) == (400, "upload_too_large")
    assert "1000" in refused.json()["error"]
    assert site.store.stat(blob) is None
    site.close()


def test_a_download_is_whole_ranged_or_refused(site, finished):
    url, content = ply_url(site, finished), bytes(range(250)) * 4
    whole = site.client.get(url, headers={"Authorization": f"Api-Key {site.key}"})
    assert (whole.status_code, whole.content) == (200, content)
    assert whole.headers["Content-Disposition"].startswith("attachment; filename=")
    assert "Fox & _Hound_" in whole.headers["Content-Disposition"]
    assert whole.headers["Cache-Control"] == "no-store"
    assert whole.headers["Accept-Ranges"] == "bytes"
    part = site.client.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    assert part.headers["Content-Range"] == "bytes 10-19/1000"
    assert site.client.get(url, headers={"Range": "bytes=-5"}).content == content[-5:]
    assert site.client.get(url, headers={"Range": "bytes=5000-"}).status_code == 416
    head = site.client.head(url)
    assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", "1000")


def test_a_url_in_place_of_a_redirect(site, finished):
    def url_of(path):
        answer = site.call("GET", f"jobs/{finished}/{path}")
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
        return answer.json()["url"]

    whole = site.client.get(url_of("download/ply/?redirect=false"))
    assert whole.content == bytes(range(250)) * 4
    assert whole.headers["Content-Disposition"].startswith("attachment")
    assert url_of("preview/?redirect=false") is None
    site.store.put_bytes(f"jobs/{finished}/previews/1/1.jpg", b"jpeg")
    site.set(finished, preview_key=f"jobs/{finished}/previews/1/1.jpg")
    assert site.client.get(url_of("preview/?redirect=false")).headers["Content-Type"] == "image/jpeg"
    assert site.call("GET", f"jobs/{finished}/download/ply/?redirect=true").status_code == 302
    bad = site.call("GET", f"jobs/{finished}/download/ply/?redirect=1")
    assert (bad.status_code, bad.json()["field"]) == (400, "redirect")
    assert site.call("GET", f"jobs/{finished}/preview/?redirect=1", key="wrong").status_code == 401


def test_other_kinds(site, finished):
    bad = site.call("GET", f"jobs/{finished}/download/exe/")
    assert bad.status_code == 400
    assert bad.json()["error"].startswith('Invalid file type. Must be "ply", "spz"')
    for kind, spoken in [("spz", "SPZ"), ("report", "Report"), ("report_html", "Report html"), ("colmap", "Colmap")]:
        answer = site.call("GET", f"jobs/{finished}/download/{kind}/")
        assert (answer.status_code, answer.json()["error"]) == (404, f"{spoken} file not available for this job")


def test_preview(site, finished):
    answer = site.call("GET", f"jobs/{finished}/preview/")
    assert (answer.status_code, answer.json()["error"]) == (400, "No preview available yet")
    key = f"jobs/{finished}/previews/1/1.jpg"
    site.store.put_bytes(key, b"jpeg")
    site.set(finished, preview_key=key)
    image = site.client.get(site.call("GET", f"jobs/{finished}/preview/").headers["Location"])
    assert (image.content, image.headers["Content-Type"]) == (b"jpeg", "image/jpeg")


def test_a_url_does_not_outlive_its_job(site, finished):
    url = ply_url(site, finished)
    assert site.call("DELETE", f"jobs/{finished}/").status_code == 204
    assert site.store.stat(f"jobs/{finished}/outputs/1/ply") is not None
    assert site.client.get(url).status_code == 404


def test_tampered_and_expired_urls_are_refused(site, finished):
    url = ply_url(site, finished)
    changed = [
        url[:-1] + ("A" if url[-1] != "A" else "B"),
        url.replace("expires=1", "expires=2"),
        url.replace("name=", "name=x"),
        url + "&x=1",
        url.partition("?")[0],
    ]
    changed += [
        url.replace("/ply?", "/spz?"),
        url.replace("/outputs/", "/outputs//"),
        url.replace("&type=", "&type=text/html&was="),
    ]
    for other in changed:
        assert other != url
        answer = site.client.get(other)
        assert (answer.status_code, answer.json()["code"]) == (403, "bad_signature"), other
    assert site.client.put(url, content=b"x").status_code == 403
    old = signing.signed_url(
        SECRET, "GET", f"jobs/{finished}/outputs/1/ply", base_url="http://testserver", expires=int(time.time()) - 1
    )
    answer = site.client.get(old)
    assert (answer.status_code, answer.json()["code"]) == (403, "url_expired")


@pytest.mark.parametrize(
    "key",
    [
        "../splatflow.db",
        "videos/../../splatflow.db",
        "%2e%2e/splatflow.db",
        ".incoming/x",
        "/etc/passwd",
        "jobs",
        "jobs/x/y",
        "videos/\x00",
    ],
)
def test_even_a_signed_path_cannot_leave_the_store(site, key):
    for method in ("GET", "PUT"):
        query = f"expires=99999999999&signature={signing.sign(SECRET, method, key, expires=99999999999)}"
        path = "".join(f"%{byte:02X}" for byte in key.encode())
        answer = site.client.request(method, f"/objects/{path}?{query}")
        assert answer.status_code in (403, 404, 409), (method, key, answer.status_code)
    assert site.call("GET", "jobs/").status_code == 200


def test_browsers_may_use_signed_urls_from_anywhere(site, finished):
    answer = site.client.options(
        "/objects/videos/x.mp4", headers={"Origin": "https://x.example", "Access-Control-Request-Method": "PUT"}
    )
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert site.client.get(ply_url(site, finished)).headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Origin" not in site.client.get(f"{V1}/jobs/").headers


@pytest.mark.parametrize("host", ["[", "a b", "x/y", "x@y", "", "é"])
def test_a_strange_host_never_gets_into_a_url(site, host):
    answer = site.call(
        "POST", "generate-upload-url/", json={"file_extension": "mp4"}, headers={"Host": host.encode("latin-1")}
    )
    assert answer.status_code == 200
    assert answer.json()["url"].startswith("http://testserver:80/objects/")
