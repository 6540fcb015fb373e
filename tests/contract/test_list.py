"""GET jobs/: a bare array, newest first, only the caller's."""

import pytest

from tests.contract.checks import check_error
from tests.contract.client import Api


@pytest.fixture
def three(api: Api, junk: str) -> list[str]:
    """Ids of three new jobs, newest first; the second is public."""
    made = [api.submit(blob_name=junk, title=f"Job {i}", public=i == 1)["job_id"] for i in range(3)]
    return made[::-1]


def ids(api: Api, **query: object) -> list[str]:
    response = api.get("jobs/", params={name: str(value) for name, value in query.items()})
    assert response.status_code == 200, response.text
    return [job["job_id"] for job in response.json()]


def test_the_shape(api: Api, three: list[str]) -> None:
    response = api.get("jobs/")
    assert response.headers["content-type"].startswith("application/json")
    jobs = response.json()
    assert isinstance(jobs, list)
    for job in jobs:
        assert set(job) == {"job_id", "title"}
        assert all(isinstance(value, str) for value in job.values())
    assert [job["title"] for job in jobs if job["job_id"] in three] == ["Job 2", "Job 1", "Job 0"]


def test_newest_first_and_all_of_them(api: Api, three: list[str]) -> None:
    response = api.get("jobs/")
    found = [job["job_id"] for job in response.json()]
    assert found[:3] == three
    assert len(set(found)) == len(found) == int(response.headers["x-total-count"])


def test_only_the_callers(api: Api, other: Api, three: list[str]) -> None:
    theirs = other.submit(blob_name=other.uploaded(), public=True)["job_id"]
    assert not set(three) & set(ids(other))
    assert theirs not in ids(api)
    assert not set(three) & set(ids(other, public="true"))


def test_pages(api: Api, three: list[str]) -> None:
    everything = ids(api)
    assert ids(api, limit=2) == everything[:2]
    assert ids(api, limit=2, offset=1) == everything[1:3]
    assert ids(api, limit=1000) == everything[:1000]
    assert ids(api, offset=len(everything)) == []
    assert ids(api, offset=2) == everything[2:]
    response = api.get("jobs/", params={"limit": 1, "offset": 1})
    assert int(response.headers["x-total-count"]) == len(everything)


def test_by_public(api: Api, three: list[str]) -> None:
    public, private = ids(api, public="true"), ids(api, public="false")
    assert three[1] in public
    assert three[0] in private
    assert not set(public) & set(private)
    assert set(public) | set(private) == set(ids(api))
    total = int(api.get("jobs/", params={"public": "true", "limit": 1}).headers["x-total-count"])
    assert total == len(public)


def test_by_status(api: Api, three: list[str]) -> None:
    cancelled = three[0]
    assert api.post(f"jobs/{cancelled}/cancel/").status_code == 200
    assert cancelled in ids(api, status="failed")
    for status in ("queued", "processing", "finished"):
        assert cancelled not in ids(api, status=status)
    union = set[str]()
    for _ in range(3):  # jobs move on between the requests
        union |= {job for status in ("queued", "processing", "finished", "failed") for job in ids(api, status=status)}
    assert set(three) <= union


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "-1"),
        ("limit", "1001"),
        ("limit", "abc"),
        ("limit", "1.5"),
        ("limit", ""),
        ("limit", "NaN"),
        ("limit", "9" * 5000),
        ("offset", "-1"),
        ("offset", "abc"),
        ("offset", ""),
        ("status", "Finished job"),
        ("status", "bogus"),
        ("status", ""),
        ("status", "\u202e"),
        ("public", "maybe"),
        ("public", ""),
    ],
)
def test_a_bad_query(api: Api, name: str, value: str) -> None:
    check_error(api.get("jobs/", params={name: value}), 400, field=name)


@pytest.mark.parametrize("offset", [2**31, 2**63 - 1, 2**63, 10**30])
def test_a_far_offset(api: Api, offset: int) -> None:
    response = api.get("jobs/", params={"offset": str(offset)})
    if response.status_code == 200:
        assert response.json() == []
    else:
        check_error(response, 400, field="offset")
