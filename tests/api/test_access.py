"""Keys, plans, scopes, limits; 401 before 403 before 429 before everything else."""

from datetime import timedelta

import pytest

from api.limits import Windows
from storage import accounts
from storage.tables import now
from tasks.errors import BadOption
from tests.api.site import V1, new_site

UNKNOWN = "123e4567-e89b-12d3-a456-426614174000"
READS = [
    "jobs/",
    f"jobs/{UNKNOWN}/",
    f"jobs/{UNKNOWN}/download/ply/",
    f"jobs/{UNKNOWN}/preview/",
    f"jobs/{UNKNOWN}/events/",
    "account/",
]
WRITES = [
    ("POST", "generate-upload-url/"),
    ("POST", "submit-job/"),
    ("PATCH", f"jobs/{UNKNOWN}/"),
    ("PUT", f"jobs/{UNKNOWN}/"),
    ("DELETE", f"jobs/{UNKNOWN}/"),
    ("POST", f"jobs/{UNKNOWN}/cancel/"),
    ("POST", f"jobs/{UNKNOWN}/retry/"),
]
ROUTES = [*(("GET", path) for path in READS), *WRITES]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_good_key_it_is_401(site, method, path):
    for header in [
        None,
        "",
        "Api-Key",
        "Api-Key ",
        "Api-Key nonsense",
        f"Bearer {site.key}",
        site.key,
        "Api-Key " + "x" * 5000,
        "Api-Key \xff\xe9",
    ]:
        headers = {} if header is None else {"Authorization": header.encode("latin-1")}
        answer = site.client.request(method, f"{V1}/{path}", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Api-Key"
        assert answer.json()["error"] == "Invalid API key"


def test_the_scheme_may_be_in_any_case(site):
    for scheme in ("api-key", "API-KEY", "Api-Key"):
        assert site.client.get(f"{V1}/jobs/", headers={"Authorization": f"{scheme} {site.key}"}).status_code == 200


def test_revoked_and_expired_keys_end_at_once(site):
    key, _, secret = accounts.create_key(site.database, name="bob")
    assert site.call("GET", "jobs/", key=secret).status_code == 200
    accounts.revoke_key(site.database, key.id)
    assert site.call("GET", "jobs/", key=secret).status_code == 401
    old = site.new_key("old", expires_at=now() - timedelta(seconds=1))
    assert site.call("GET", "jobs/", key=old).status_code == 401


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_free_plan_is_403(site, method, path):
    answer = site.call(method, path, key=site.new_key("free", plan="free"), content=b"not json")
    assert answer.status_code == 403
    assert answer.json()["error"] == "Insufficient permissions"


def test_a_read_only_key_reads_and_never_writes(site):
    key = site.new_key("reader", scope="read")
    assert site.call("GET", "jobs/", key=key).status_code == 200
    for method, path in WRITES:
        assert site.call(method, path, key=key, content=b"not json").status_code == 403


def test_limits_are_per_key_and_class(site):
    key = site.new_key("limited", limits={"read": "3/minute", "submit": "1/hour"})
    for left in (2, 1, 0):
        answer = site.call("GET", "jobs/", key=key)
        assert answer.status_code == 200
        assert answer.headers["RateLimit"].startswith(f"limit=3, remaining={left}, reset=")
        assert answer.headers["RateLimit-Policy"] == "3;w=60"
    answer = site.call("GET", f"jobs/{UNKNOWN}/", key=key)
    assert answer.status_code == 429
    assert answer.json() == {"error": "Rate limit exceeded", "code": "rate_limited"}
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["RateLimit"].startswith("limit=3, remaining=0")
    assert site.call("POST", "submit-job/", key=key).status_code == 400
    refused = site.call("POST", "submit-job/", key=key, content=b"not json")
    assert refused.status_code == 429
    assert refused.json()["error_message"] == "Rate limit exceeded"
    assert site.call("GET", "jobs/").status_code == 200


def test_bad_keys_are_limited_by_address_and_good_ones_go_on(tmp_path, empty_database):
    site = new_site(tmp_path, empty_database, limit_failed_keys="3/minute")
    statuses = [site.call("GET", "jobs/", key="wrong").status_code for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert site.call("GET", "jobs/").status_code == 200
    site.close()


def test_a_limit_that_cannot_be_read_is_refused_at_the_start(tmp_path, empty_database):
    with pytest.raises(BadOption, match="often"):
        new_site(tmp_path, empty_database, limit_read="often")


def test_windows_begin_anew():
    windows = Windows()
    assert [windows.count("a", 0.0)[0] for _ in range(3)] == [1, 1, 1]
    assert [windows.count("b", 60.0)[0] for _ in range(3)] == [1, 2, 3]


def test_account(site):
    site.submit()
    told = site.call("GET", "account/", key=site.new_key("second", account="ann", limits={"write": "7/hour"})).json()
    assert (told["name"], told["plan"], told["limits"]["write"]) == ("ann", "enterprise", "7/hour")
    assert told["limits"]["max_upload_bytes"] == site.settings.max_upload_bytes
    assert (told["limits"]["max_webhooks"], told["limits"]["disk_low_bytes"]) == (10, None)
    assert told["usage"] == {"jobs": 1, "bytes": 5, "processing_seconds_this_month": 0}
    job = site.submit()["job_id"]
    site.set(job, started_at=now() - timedelta(seconds=30))
    site.finish(job, ply=b"1234567")
    usage = site.call("GET", "account/").json()["usage"]
    assert (usage["jobs"], usage["bytes"]) == (2, 17)
    assert 0 < usage["processing_seconds_this_month"] <= 31
    assert site.call("GET", "account/", key=site.new_key("bob")).json()["usage"]["jobs"] == 0


def test_no_secret_is_in_a_row_or_a_log_line(site, caplog):
    caplog.set_level("DEBUG")
    job = site.submit(title="hush")["job_id"]
    site.finish(job, ply=b"ply")
    url = site.call("GET", f"jobs/{job}/download/ply/").headers["Location"]
    assert site.client.get(url).content == b"ply"
    site.call("GET", "jobs/", key="a-wrong-secret")
    site.call("GET", f"jobs/{job}/", headers={"X-Other": "x"})
    secrets = [site.key, "a-wrong-secret", url.rpartition("signature=")[2], "hush"]
    log = "\n".join(
        record.getMessage() for record in caplog.records if record.name.startswith(("splatflow", "api", "uvicorn"))
    )
    assert "/api/v1/jobs/{job_id}/download/{file_type}/ 302" in log
    dump = "\n".join(line for line in site.database.engine.raw_connection().driver_connection.iterdump())  # type: ignore[union-attr]
    for secret in secrets:
        assert secret not in log
    for secret in secrets[:3]:
        assert secret not in dump
