"""429: limits per key and kind of request, ten thousand submits from one key, and keys that are guessed."""

import collections
import re
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.contract.checks import check_error
from tests.contract.client import Api, outside
from tests.contract.conftest import Service

SUBMITS = 10_000
SECONDS = 60


def check_limited(response: httpx.Response, *, submit: bool = False) -> None:
    check_error(response, 429, "Rate limit exceeded", submit=submit)
    assert 0 < int(response.headers["retry-after"]) <= 60
    assert re.search(r"\b(r|remaining)=0\b", response.headers["ratelimit"])
    policy = response.headers["ratelimit-policy"]
    assert re.search(r"\bw=60\b", policy), policy
    assert re.search(r"\b5\b", policy), policy


def until_limited(send, attempts: int = 12) -> tuple[int, httpx.Response]:
    """How many requests went through before the first 429, and that."""
    for done in range(attempts):
        response = send()
        if response.status_code == 429:
            return done, response
    pytest.fail(f"{attempts} requests and no 429")


def test_reads_are_limited(service: Service, limited_key: str, api: Api) -> None:
    done, response = until_limited(lambda: Api(service.url, limited_key).get("jobs/"))
    check_limited(response)
    assert done <= 10
    assert api.get("jobs/").status_code == 200, "limits are per key, not per account"


def test_writes_are_limited(service: Service, limited_key: str, job: str) -> None:
    _, response = until_limited(lambda: Api(service.url, limited_key).patch(f"jobs/{job}/", json={"title": "Again"}))
    check_limited(response)


def test_submits_are_limited(service: Service, limited_key: str, api: Api, junk: str) -> None:
    def send() -> httpx.Response:
        response = Api(service.url, limited_key).post("submit-job/", json={"blob_name": junk})
        if response.status_code == 201:
            api.jobs.append(response.json()["job_id"])
        return response

    _, response = until_limited(send)
    check_limited(response, submit=True)


def test_waiting_as_told_helps(service: Service) -> None:
    if service.group is None:
        pytest.skip("makes a key of its own, so it needs a group of its own")
    limits = {"read": "3/second", "write": "3/second", "submit": "3/second"}
    quick = Api(service.url, service.group.make_key("quick", account="contract", limits=limits)["key"])
    _, response = until_limited(lambda: quick.get("jobs/"), attempts=200)
    time.sleep(int(response.headers["retry-after"]))
    assert quick.get("jobs/").status_code == 200


def test_ten_thousand_submits_from_one_key(service: Service, limited_key: str, api: Api, junk: str) -> None:
    """Every answer is a documented one, few jobs are made, and the service is as well as before."""
    counted: collections.Counter[int] = collections.Counter()
    lock = threading.Lock()
    deadline = time.monotonic() + SECONDS

    def submit(share: int) -> None:
        hammer = Api(service.url, limited_key)
        for _ in range(share):
            if time.monotonic() > deadline:
                return
            response = hammer.post("submit-job/", json={"blob_name": junk})
            with lock:
                counted[response.status_code] += 1
                if response.status_code == 201:
                    api.jobs.append(response.json()["job_id"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(submit, [SUBMITS // 4] * 4))
    assert set(counted) <= {201, 400, 429}, counted
    assert counted[429] > 0
    assert counted[201] <= 5 * (SECONDS // 60 + 2)
    assert sum(counted.values()) > 1000, "the service takes longer over a refusal than it may"
    assert api.get("jobs/").status_code == 200
    for path in ("/healthz", "/readyz"):
        assert outside("GET", service.url + path).status_code == 200
    print(dict(counted))


def test_guessing_keys_is_limited_and_good_keys_are_not(service: Service, api: Api) -> None:
    """The limit on failed keys is per address; it may be large, so a deployment that never answers 429 here is skipped."""
    guesser = Api(service.url, None)
    for _ in range(2000):
        response = guesser.get("jobs/", headers={"Authorization": f"Api-Key {uuid.uuid4().hex}"})
        if response.status_code == 429:
            check_error(response, 429, "Rate limit exceeded")
            assert int(response.headers["retry-after"]) > 0
            assert api.get("jobs/").status_code == 200
            return
        check_error(response, 401, "Invalid API key")
    pytest.skip("2,000 wrong keys met no limit; it is configured higher here")
