"""Quotas, retention and the watermark, as clients meet them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from api.dispatcher import Dispatcher
from storage import accounts, retention
from storage.tables import FAILED, now
from tests.api.dispatch.fake_runs import FakeRuns
from tests.api.site import Site, new_site


@pytest.fixture
def limited(tmp_path: Path, empty_database: Path) -> Iterator[Site]:
    made = new_site(tmp_path, empty_database, quota_queued=2, quota_bytes=100, keep_outputs_days=1, keep_failed_days=1)
    yield made
    made.close()


def refused(answer, *words: str) -> dict:
    told = answer.json()
    assert (answer.status_code, told["code"]) == (403, "quota_exceeded")
    assert all(word in told["error"] for word in words)
    return told


def test_the_last_place_is_given_once_and_a_refused_upload_stays(limited: Site):
    limited.submit()
    names = [limited.upload() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda name: limited.call("POST", "submit-job/", json={"blob_name": name}), names))
    assert sorted(answer.status_code for answer in answers) == [201, 403, 403, 403]
    lost = next(name for name, answer in zip(names, answers, strict=True) if answer.status_code == 403)
    told = refused(limited.call("POST", "submit-job/", json={"blob_name": lost}), "2 jobs waiting", "queued is 2")
    assert told["success"] is False
    assert told["error_message"] == told["error"]
    assert len(list(limited.store.keys("jobs/"))) == 2, "no copy is left of what was refused"
    cancelled = limited.rows()[0]
    limited.call("POST", f"jobs/{cancelled}/cancel/")
    assert limited.call("POST", "submit-job/", json={"blob_name": lost}).status_code == 201
    refused(limited.call("POST", f"jobs/{cancelled}/retry/"), "2 jobs waiting")


def test_a_repeat_of_a_submit_is_answered_however_full_it_is(limited: Site):
    name, headers = limited.upload(), {"Idempotency-Key": "once"}
    first = limited.call("POST", "submit-job/", json={"blob_name": name}, headers=headers).json()
    limited.submit()
    again = limited.call("POST", "submit-job/", json={"blob_name": name}, headers=headers)
    assert (again.status_code, again.json()["job_id"]) == (201, first["job_id"])


def test_bytes_are_looked_at_on_upload_submit_and_reprocessing(limited: Site):
    job_id = limited.submit()["job_id"]
    limited.finish(job_id, ply=b"x" * 90)
    refused(limited.call("POST", "submit-job/", json={"blob_name": limited.upload(b"x" * 6)}), "bytes is 100", "delete")
    limited.submit()  # 5 more: all
    refused(limited.call("POST", "generate-upload-url/", json={"file_extension": "mp4"}), "hold 100 bytes")
    refused(limited.call("POST", "batches/", json={"jobs": {}}))
    told = limited.call("GET", "account/").json()
    assert told["quotas"]["bytes"] == {"limit": 100, "used": 100}
    assert told["quotas"]["queued"] == {"limit": 2, "used": 1}
    assert told["quotas"]["hours"]["limit"] is None
    assert told["retention"] == {
        "keep_uploads_days": None,
        "keep_steps_days": None,
        "keep_outputs_days": 1,
        "keep_failed_days": 1,
    }
    assert told["usage"]["bytes"] == 100


def test_more_jobs_than_may_run_only_wait(site: Site):
    accounts.set_quotas(site.database, "ann", {"running": 2})
    for _ in range(4):
        site.submit()
    runs = FakeRuns()
    Dispatcher(site.settings, site.database, site.store, runs).round()
    states = [site.call("GET", f"jobs/{job_id}/").json()["status"] for job_id in site.rows()]
    assert len(states) == 4
    assert all(state.startswith("Queued") for state in states)
    assert len(runs.runs) == 2


def test_an_expired_job_says_so_everywhere(limited: Site):
    job_id = limited.submit(public=True)["job_id"]
    limited.finish(job_id, ply=b"ply", spz=b"spz")
    url = limited.call("GET", f"jobs/{job_id}/download/ply/").headers["location"]
    retention.apply(limited.database, limited.store, limited.settings, now=now() + timedelta(days=2), dry_run=False)
    told = limited.call("GET", f"jobs/{job_id}/").json()
    assert (told["status"], told["percent_complete"], told["files"]) == ("Finished", 100, {})
    assert (told["has_ply"], told["has_spz"]) == (False, False)
    assert told["expired_at"].endswith("Z")
    assert told["warnings"][-1]["code"] == "expired"
    gone = limited.call("GET", f"jobs/{job_id}/download/ply/")
    assert (gone.status_code, gone.json()["error"]) == (404, "PLY file not available for this job")
    assert limited.call("GET", f"jobs/{job_id}/preview/").json()["error"] == "No preview available yet"
    assert limited.client.get(url).content == b"ply", "what was given out still leads somewhere"
    data = limited.client.get(f"/scenes/{job_id}/data").json()
    assert (data["state"], data["files"], data["expired_at"]) == ("viewable", {}, told["expired_at"])
    plan = limited.call("POST", "batches/", json={"jobs": {}, "dry_run": True}).json()
    assert "expired" in str(plan)
    assert limited.call("GET", "account/").json()["quotas"]["bytes"]["used"] == 5


def test_a_retry_of_what_is_no_longer_kept_is_refused_at_once(limited: Site):
    job_id = limited.submit()["job_id"]
    limited.set(job_id, state=FAILED, error_code="crashed", finished_at=now() - timedelta(days=2))
    assert limited.call("POST", f"jobs/{job_id}/retry/").status_code == 200
    limited.set(job_id, state=FAILED, error_code="crashed", finished_at=now() - timedelta(days=2))
    retention.apply(limited.database, limited.store, limited.settings, now=now(), dry_run=False)
    answer = limited.call("POST", f"jobs/{job_id}/retry/")
    assert (answer.status_code, answer.json()["code"]) == (409, "source_expired")
    assert "upload the video again" in answer.json()["error"]
    told = limited.call("GET", f"jobs/{UUID(job_id)}/").json()
    assert (told["status"], told["error_code"]) == ("Failed", "crashed")
    assert list(limited.store.keys("")) == []


def test_below_the_watermark_uploads_are_refused_and_all_else_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch):
    job_id = site.submit()["job_id"]
    later, before = site.upload(), site.call("POST", "generate-upload-url/", json={"file_extension": "mp4"}).json()
    free = [1000]
    monkeypatch.setattr("api.disk._free", lambda folder: free[0])
    low = site.settings.model_copy(update={"disk_low_bytes": 500})
    monkeypatch.setattr(site.app.state.service, "settings", low)
    assert site.client.put(before["url"], content=b"x" * 400).status_code == 201
    too_long = site.client.put(before["url"], content=b"x" * 501)
    free[0] = 499
    for answer in (
        too_long,
        site.client.put(before["url"], content=iter([b"x"])),
        site.call("POST", "generate-upload-url/", json={"file_extension": "mp4"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (507, "disk_low")
        assert "takes no new uploads now" in answer.json()["error"]
        assert answer.headers["retry-after"] == "60"
    assert site.store.get_bytes(before["blob_name"]) == b"x" * 400
    assert site.call("POST", "submit-job/", json={"blob_name": later}).status_code == 201
    assert site.call("GET", f"jobs/{job_id}/").status_code == 200
    assert 'splatflow_disk_free_bytes{folder="objects"} 499.0' in site.client.get("/metrics").text
