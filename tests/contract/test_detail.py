"""GET jobs/{job_id}/: the fields of the reference and the additive ones, and what a waiting job says."""

import time
from typing import Any

import pytest

from tests.contract.checks import POSITION, check_detail
from tests.contract.client import Api


def test_the_fields(api: Api, job: str) -> None:
    detail = api.detail(job)
    check_detail(detail)
    assert detail["job_id"] == job
    assert detail["title"] == "A job of a test"
    assert detail["files"] == {}


def test_uploaded_at_is_now(api: Api, job: str) -> None:
    uploaded = time.strptime(api.detail(job)["uploaded_at"], "%Y-%m-%dT%H:%M:%SZ")
    import calendar

    assert abs(calendar.timegm(uploaded) - time.time()) < 60


def test_the_id_in_upper_case_is_the_same_job_or_unknown(api: Api, job: str) -> None:
    assert api.get(f"jobs/{job.upper()}/").status_code in (200, 404)


def test_places_in_the_queue(api: Api, junk: str) -> None:
    """Jobs that wait say their place; who came later has the higher number."""
    jobs = [api.submit(blob_name=junk, title=f"Waiting {i}")["job_id"] for i in range(8)]
    deadline = time.monotonic() + 30
    placed: list[int] = []
    while time.monotonic() < deadline:
        details = [api.detail(job) for job in jobs]
        for detail in details:
            check_detail(detail)
        placed = [int(found[1]) for found in map(_position, details) if found]
        if len(placed) >= 3 and placed == sorted(set(placed)):
            assert placed[0] >= 1
            return
        time.sleep(0.3)
    pytest.fail(f"places seen last: {placed}")


def _position(detail: dict[str, Any]) -> Any:
    return POSITION.fullmatch(detail["status"])


def test_a_failed_job_says_why(api: Api, failed_job: str) -> None:
    detail = api.detail(failed_job)
    check_detail(detail)
    assert detail["status"] == "Failed"
    assert detail["error_code"] == "not_a_video"
    assert detail["error_message"].endswith(".")
    assert "/" not in detail["error_message"]
    assert detail["finished_at"] is not None
    assert detail["has_ply"] is False
    assert detail["has_spz"] is False
    assert failed_job in [job["job_id"] for job in api.get("jobs/", params={"status": "failed"}).json()]
