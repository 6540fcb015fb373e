"""404: a job that isn't the caller's can't be told from one that never was."""

import statistics
import time
import uuid

import pytest

from tests.contract.checks import check_error
from tests.contract.client import JOB_ROUTES, Api, Route

MALFORMED = [
    "x",
    "123",
    "not-a-uuid",
    "123e4567-e89b-12d3-a456-42661417400",
    "123e4567-e89b-12d3-a456-4266141740000",
    "123e4567-e89b-12d3-a456-42661417400g",
    "{123e4567-e89b-12d3-a456-426614174000}",
    "urn:uuid:123e4567-e89b-12d3-a456-426614174000",
    "%00",
    "%F0%9F%8E%AC",
    "%FF",
    "'%20OR%201=1--",
    "a" * 4000,
]


def same_but_head(response, route: Route) -> None:
    if route.method == "HEAD":
        assert response.status_code == 404
        assert response.content == b""
    else:
        check_error(response, 404, "Job not found")


@pytest.mark.parametrize("route", JOB_ROUTES, ids=str)
def test_an_unknown_job(api: Api, route: Route) -> None:
    same_but_head(api.call(route, str(uuid.uuid4())), route)


@pytest.mark.parametrize("route", JOB_ROUTES, ids=str)
def test_a_malformed_id(api: Api, route: Route) -> None:
    same_but_head(api.call(route, "not-a-uuid"), route)


@pytest.mark.parametrize("job", MALFORMED, ids=lambda text: text[:50])
def test_ids_malformed_in_other_ways(api: Api, job: str) -> None:
    check_error(api.get(f"jobs/{job}/"), 404, "Job not found")


@pytest.mark.parametrize("public", [False, True])
def test_a_foreign_job(api: Api, other: Api, junk: str, public: bool) -> None:
    """Nothing can be read of it or done to it, public or not, and the answer is that for an unknown one."""
    job = api.submit(blob_name=junk, title="Mine", public=public)["job_id"]
    for route in JOB_ROUTES:
        foreign, unknown = other.call(route, job), other.call(route, str(uuid.uuid4()))
        same_but_head(foreign, route)
        assert foreign.content == unknown.content, route
        assert set(foreign.headers) == set(unknown.headers), route
    detail = api.detail(job)
    assert detail["title"] == "Mine"
    assert detail["error_code"] != "cancelled"


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("PATCH", "jobs/{}/", "not json"),
        ("PATCH", "jobs/{}/", '{"title": 1}'),
        ("PATCH", "jobs/{}/", '{"nonsense": 1}'),
        ("GET", "jobs/{}/download/exe/", ""),
    ],
)
def test_a_bad_request_for_a_foreign_job_tells_nothing(
    api: Api, other: Api, job: str, method: str, path: str, text: str
) -> None:
    foreign = other.send_text(method, path.format(job), text)
    unknown = other.send_text(method, path.format(uuid.uuid4()), text)
    assert foreign.status_code == unknown.status_code in (400, 404)
    assert foreign.content == unknown.content


def test_foreign_and_unknown_take_equally_long(api: Api, other: Api, job: str) -> None:
    def median_ms(path: str) -> float:
        times = []
        for _ in range(40):
            started = time.perf_counter()
            assert other.get(path).status_code == 404
            times.append(1e3 * (time.perf_counter() - started))
        return statistics.median(times)

    for _ in range(3):  # the machine is busy with other things, too
        foreign, unknown = median_ms(f"jobs/{job}/"), median_ms(f"jobs/{uuid.uuid4()}/")
        if abs(foreign - unknown) < 3 or max(foreign, unknown) < 2 * min(foreign, unknown):
            return
    pytest.fail(f"foreign {foreign:.1f} ms, unknown {unknown:.1f} ms")
