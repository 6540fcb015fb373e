"""cancel/, retry/ and events/."""

import threading
import time
from typing import Any

from tests.contract.checks import check_detail, check_error
from tests.contract.client import Api, job_events
from tests.contract.life import Life


def wait_for(api: Api, job: str, status: str, *, seconds: float = 30) -> dict[str, Any]:
    """The detail once the job has the status."""
    deadline = time.monotonic() + seconds
    while (detail := api.detail(job))["status"] != status:
        assert time.monotonic() < deadline, detail
        time.sleep(0.1)
    return detail


def test_cancel(api: Api, job: str) -> None:
    response = api.post(f"jobs/{job}/cancel/")
    assert response.status_code == 200
    check_detail(response.json())
    detail = wait_for(api, job, "Failed")
    assert detail["error_code"] == "cancelled"
    assert detail["error_message"]
    assert job in [listed["job_id"] for listed in api.get("jobs/", params={"status": "failed"}).json()]


def test_cancel_twice(api: Api, job: str) -> None:
    assert api.post(f"jobs/{job}/cancel/").status_code == 200
    wait_for(api, job, "Failed")
    check_error(api.post(f"jobs/{job}/cancel/"), 409)


def test_a_cancelled_job_stays_cancelled(api: Api, job: str) -> None:
    api.post(f"jobs/{job}/cancel/")
    wait_for(api, job, "Failed")
    for _ in range(10):
        detail = api.detail(job)
        assert (detail["status"], detail["error_code"]) == ("Failed", "cancelled")
        time.sleep(0.2)


def test_retry_a_job_that_has_not_failed(api: Api, job: str) -> None:
    response = api.post(f"jobs/{job}/retry/")
    if response.status_code == 200:  # it may have run and failed in between: its upload isn't a video
        assert response.json()["status"].startswith("Queued")
    else:
        check_error(response, 409)


def test_retry_a_cancelled_job(api: Api, job: str) -> None:
    api.post(f"jobs/{job}/cancel/")
    wait_for(api, job, "Failed")
    response = api.post(f"jobs/{job}/retry/")
    assert response.status_code == 200
    detail = response.json()
    check_detail(detail)
    assert detail["status"].startswith("Queued")
    assert detail["error_code"] is None
    assert detail["error_message"] is None
    assert detail["finished_at"] is None
    check_error(api.post(f"jobs/{job}/retry/"), 409)
    assert api.post(f"jobs/{job}/cancel/").status_code == 200
    assert wait_for(api, job, "Failed")["error_code"] == "cancelled"


def test_retry_a_failed_job_fails_again(api: Api, failed_job: str) -> None:
    response = api.post(f"jobs/{failed_job}/retry/")
    assert response.status_code == 200
    assert response.json()["status"].startswith("Queued")
    assert wait_for(api, failed_job, "Failed", seconds=120)["error_code"] == "not_a_video"


def test_a_finished_job_is_neither_cancelled_nor_retried(api: Api, finished: Life) -> None:
    check_error(api.post(f"jobs/{finished.job}/cancel/"), 409)
    check_error(api.post(f"jobs/{finished.job}/retry/"), 409)
    assert api.detail(finished.job)["status"] == "Finished"


def test_a_failed_job_is_not_cancelled(api: Api, failed_job: str) -> None:
    check_error(api.post(f"jobs/{failed_job}/cancel/"), 409)
    assert api.detail(failed_job)["error_code"] == "not_a_video"


def test_events_tell_of_every_change(api: Api, job: str) -> None:
    """The stream begins with the job as it is, tells of a PATCH and of the end, and then closes."""
    seen: list[dict[str, Any]] = []

    def change() -> None:
        time.sleep(1)
        api.patch(f"jobs/{job}/", json={"title": "Changed meanwhile"})
        time.sleep(1)
        api.post(f"jobs/{job}/cancel/")

    changer = threading.Thread(target=change)
    changer.start()
    try:
        with api.events(job) as lines:
            seen.extend(job_events(lines))  # ends when the server closes the stream
    finally:
        changer.join()
    for event in seen:
        check_detail(event)
        assert event["job_id"] == job
    assert seen[0]["title"] == "A job of a test"
    assert any(event["title"] == "Changed meanwhile" for event in seen)
    assert seen[-1]["status"] == "Failed"


def test_events_end_when_the_job_is_deleted(api: Api, job: str) -> None:
    def delete() -> None:
        time.sleep(1)
        api.request("DELETE", f"jobs/{job}/")

    deleter = threading.Thread(target=delete)
    deleter.start()
    try:
        with api.events(job, timeout=10) as lines:
            for _ in lines:
                pass
    finally:
        deleter.join()
