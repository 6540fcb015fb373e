"""DELETE jobs/{job_id}/."""

from concurrent.futures import ThreadPoolExecutor

from tests.contract.checks import check_error
from tests.contract.client import JOB_ROUTES, Api
from tests.contract.test_not_found import same_but_head


def test_gone_at_once(api: Api, job: str) -> None:
    response = api.request("DELETE", f"jobs/{job}/")
    assert response.status_code == 204
    assert response.content == b""
    check_error(api.request("DELETE", f"jobs/{job}/"), 404, "Job not found")
    for route in JOB_ROUTES:
        same_but_head(api.call(route, job), route)
    assert job not in [listed["job_id"] for listed in api.get("jobs/").json()]


def test_of_many_at_once_one_succeeds(api: Api, job: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(lambda _: api.request("DELETE", f"jobs/{job}/").status_code, range(6)))
    assert sorted(statuses) == [204, 404, 404, 404, 404, 404]


def test_a_cancelled_job(api: Api, job: str) -> None:
    assert api.post(f"jobs/{job}/cancel/").status_code == 200
    assert api.request("DELETE", f"jobs/{job}/").status_code == 204
    check_error(api.get(f"jobs/{job}/"), 404, "Job not found")


def test_other_jobs_of_the_same_upload_stay(api: Api, junk: str) -> None:
    first, second = (api.submit(blob_name=junk)["job_id"] for _ in range(2))
    assert api.request("DELETE", f"jobs/{first}/").status_code == 204
    assert api.detail(second)["job_id"] == second
