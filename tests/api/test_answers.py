"""What every answer has, whatever was asked."""

import pytest

from api.health import Health
from storage.database import Database, DatabaseUnavailable
from storage.objects import StoreUnavailable
from tests.api.site import V1


def test_every_answer_has_an_id_and_is_not_stored(site):
    answers = [site.client.get(path) for path in ("/healthz", "/nope", f"{V1}/jobs/", f"{V1}/jobs")]
    answers += [site.call("GET", "jobs/"), site.call("GET", "jobs/x/"), site.call("TRACE", "jobs/")]
    assert len({answer.headers["X-Request-ID"] for answer in answers}) == len(answers)
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}


@pytest.mark.parametrize(
    "path", ["/nope", "/api", "/api/v1", "/api/v1/nope/", "/api/v1/jobs/a/b/", "/api/v1/jobs//", "/healthz/"]
)
def test_an_unknown_path_is_404(site, path):
    answer = site.call("GET", path)
    assert answer.status_code == 404
    assert answer.json() == {"error": "Not found", "code": "not_found"}


@pytest.mark.parametrize(
    "job",
    [
        "123e4567-e89b-12d3-a456-426614174000",
        "x",
        "123e4567e89b12d3a456426614174000",
        "{123e4567-e89b-12d3-a456-426614174000}",
        "%00",
        "1" * 5000,
    ],
)
def test_a_job_that_is_not_there_is_always_the_same_404(site, job):
    for method, path in [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "cancel/"),
        ("POST", "retry/"),
        ("GET", "download/ply/"),
        ("GET", "preview/"),
        ("GET", "events/"),
    ]:
        answer = site.call(method, f"jobs/{job}/{path}")
        assert answer.status_code == 404
        assert answer.json() == {"error": "Job not found", "code": "job_not_found"}


def test_a_foreign_job_is_like_none_also_a_public_one(site):
    job, bob = site.submit(public=True)["job_id"], site.new_key("bob")
    for method, path in [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "cancel/"),
        ("GET", "download/ply/"),
        ("GET", "events/"),
    ]:
        assert site.call(method, f"jobs/{job}/{path}", key=bob).json() == {
            "error": "Job not found",
            "code": "job_not_found",
        }
    assert site.call("GET", "jobs/", key=bob).json() == []
    assert site.call("GET", f"jobs/{job.upper()}/").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "jobs/", "GET, HEAD"),
        ("DELETE", "submit-job/", "POST"),
        ("HEAD", "submit-job/", "POST"),
        ("POST", "jobs/x/", "GET, PUT, PATCH, DELETE, HEAD"),
        ("TRACE", "jobs/x/preview/", "GET, HEAD"),
        ("DELETE", "/objects/videos/x.mp4", "GET, PUT, OPTIONS, HEAD"),
    ],
)
def test_a_wrong_method_is_405(site, method, path, allowed):
    answer = site.call(method, path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == allowed
    if method != "HEAD":
        assert answer.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"])
def test_a_missing_slash_is_a_308(site, method):
    answer = site.client.request(method, f"{V1}/jobs/x?limit=3&title=%0d%0aX:y")
    assert answer.status_code == 308
    assert answer.headers["Location"] == "/api/v1/jobs/x/?limit=3&title=%0d%0aX:y"
    assert site.client.request(method, f"{V1}/nope").status_code == 404


def test_method_and_body_survive_the_308(site):
    answer = site.client.post(
        f"{V1}/generate-upload-url",
        json={"file_extension": "mov"},
        headers={"Authorization": f"Api-Key {site.key}"},
        follow_redirects=True,
    )
    assert answer.json()["blob_name"].endswith(".mov")


def test_head_is_get_without_a_body(site):
    job = site.submit()["job_id"]
    site.finish(job, ply=b"ply")
    site.set(job, preview_key=f"jobs/{job}/previews/1/1.jpg")
    paths = [
        "jobs/",
        f"jobs/{job}/",
        f"jobs/{job}/download/ply/",
        f"jobs/{job}/preview/",
        "account/",
        "jobs/x/",
        "/healthz",
        "/docs",
        "/metrics",
        f"{V1}/openapi.json",
    ]
    for path in paths:
        get, head = site.call("GET", path), site.call("HEAD", path)
        assert head.status_code == get.status_code
        assert head.content == b""
        assert head.headers.keys() == get.headers.keys()
        if path != "/metrics":
            assert head.headers.get("content-length") == get.headers.get("content-length")
    assert site.call("HEAD", f"jobs/{job}/events/").status_code == 200


@pytest.mark.parametrize(
    "error", [DatabaseUnavailable("no database"), StoreUnavailable("no store"), RuntimeError("a secret cause")]
)
def test_our_faults_are_500_without_their_cause(site, error, monkeypatch, caplog):
    def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr("api.routes_jobs.jobs.listed", fail)
    answer = site.call("GET", "jobs/")
    assert answer.status_code == 500
    assert answer.json() == {"error": "Internal server error", "code": "internal"}
    assert answer.headers["X-Request-ID"] in caplog.text
    assert str(error) in caplog.text
    monkeypatch.setattr("api.submit.jobs.submit", fail)
    blob = site.upload()
    told = site.call("POST", "submit-job/", json={"blob_name": blob}).json()
    assert (told["success"], told["error_message"]) == (False, "Internal server error")
    assert list(site.store.keys("jobs/")) == []


def test_ready_names_what_is_wrong(site, monkeypatch):
    answer = site.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["parts"] == {"database": "ok", "object_store": "ok", "prefect": "PREFECT_API_URL is not set."}


def test_metrics_count_by_route_and_state(site):
    site.submit()
    site.call("GET", "jobs/x/")
    site.call("HEAD", "jobs/x/")
    site.client.get("/some/unknown/path")
    text = site.client.get("/metrics").text
    assert 'splatflow_http_request_seconds_count{method="GET",route="/api/v1/jobs/{job_id}/",status="404"} 1.0' in text
    assert 'splatflow_http_request_seconds_count{method="HEAD",route="/api/v1/jobs/{job_id}/",status="404"} 1.0' in text
    assert 'splatflow_http_request_seconds_count{method="GET",route="-",status="404"} 1.0' in text
    assert 'splatflow_jobs{state="queued"} 1.0' in text
    assert "splatflow_outbox_entries 1.0" in text


def test_ready_says_what_to_do_about_an_empty_database(tmp_path, site):
    health = Health(Database(f"sqlite:///{tmp_path / 'new.db'}"), site.store, prefect_url="http://127.0.0.1:1/api")
    parts = health.parts()
    assert parts["database"] == "The database has no tables yet; run `splatflow part migrate`."
    assert parts["prefect"] == "Prefect can't be reached (ConnectError)."
    assert health.parts() is parts
