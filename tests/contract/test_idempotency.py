"""Idempotency-Key: a repeated submit is the first one."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.contract.checks import check_error
from tests.contract.client import Api


def send(api: Api, key: str, **body: Any) -> httpx.Response:
    response = api.post("submit-job/", json=body, headers={"Idempotency-Key": key})
    if response.status_code == 201:
        api.jobs.append(response.json()["job_id"])
    return response


def test_the_same_again_is_the_first_answer(api: Api, junk: str) -> None:
    key = str(uuid.uuid4())
    first = send(api, key, blob_name=junk, title="Once")
    second = send(api, key, blob_name=junk, title="Once")
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()


def test_the_first_answer_even_after_the_job_has_changed(api: Api, junk: str) -> None:
    key = str(uuid.uuid4())
    first = send(api, key, blob_name=junk, title="Once").json()
    assert api.patch(f"jobs/{first['job_id']}/", json={"title": "Renamed"}).status_code == 200
    assert send(api, key, blob_name=junk, title="Once").json() == first


def test_another_body_is_a_conflict(api: Api, junk: str) -> None:
    key = str(uuid.uuid4())
    first = send(api, key, blob_name=junk, title="Once").json()
    check_error(send(api, key, blob_name=junk, title="Twice"), 409, submit=True)
    assert api.detail(first["job_id"])["title"] == "Once"


def test_a_key_belongs_to_an_account(api: Api, other: Api, junk: str) -> None:
    key, theirs = str(uuid.uuid4()), other.uploaded()
    first = send(api, key, blob_name=junk)
    second = send(other, key, blob_name=theirs)
    assert first.status_code == second.status_code == 201
    assert first.json()["job_id"] != second.json()["job_id"]


def test_many_at_once_make_one_job(api: Api, junk: str) -> None:
    key = str(uuid.uuid4())
    before = int(api.get("jobs/", params={"limit": 1}).headers["x-total-count"])
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send(api, key, blob_name=junk, title="At once"), range(16)))
    assert {answer.status_code for answer in answers} == {201}, [answer.text for answer in answers]
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert int(api.get("jobs/", params={"limit": 1}).headers["x-total-count"]) == before + 1


def test_the_length_of_a_key(api: Api, junk: str) -> None:
    longest = uuid.uuid4().hex + "k" * (255 - 32)
    assert send(api, longest, blob_name=junk).status_code == 201
    check_error(send(api, longest + "k", blob_name=junk), 400, submit=True)


def test_a_refused_submit_takes_no_key(api: Api, junk: str) -> None:
    """The contract fixes this for successes only; a repeat of a refused submit must at least not be an error of ours."""
    key = str(uuid.uuid4())
    check_error(send(api, key, blob_name=junk, title=""), 400, field="title", submit=True)
    assert send(api, key, blob_name=junk, title="Mended").status_code in (201, 409)
