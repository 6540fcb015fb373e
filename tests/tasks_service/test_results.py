"""Prefect's results lie below the job that they belong to."""

import asyncio
from uuid import uuid4

import pytest

from storage.local import LocalStore
from tasks.service import results
from tasks.service.results import ObjectResults, cache_key, object_key


@pytest.fixture
def kept(objects: LocalStore, monkeypatch: pytest.MonkeyPatch) -> ObjectResults:
    monkeypatch.setattr(results, "open_store", lambda _: objects)
    return ObjectResults()


def test_a_result_is_written_below_its_job_and_read_again(kept: ObjectResults, objects: LocalStore):
    job_id = uuid4()
    key = cache_key(job_id, "extract", "a" * 64)
    kept.write_path(key, b'{"x": 0}', _sync=True)
    assert kept.read_path(key, _sync=True) == b'{"x": 0}'
    asyncio.run(kept.awrite_path(key, b'{"x": 1}'))
    assert asyncio.run(kept.aread_path(key)) == b'{"x": 1}'
    assert list(objects.keys("")) == [f"jobs/{job_id}/results/extract.{'a' * 64}"]


def test_a_missing_result_is_a_value_error_as_prefect_expects(kept: ObjectResults):
    with pytest.raises(ValueError, match="no result"):
        kept.read_path(cache_key(uuid4(), "extract", "a" * 64))
    with pytest.raises(ValueError, match="no result"):
        asyncio.run(kept.aread_path(cache_key(uuid4(), "extract", "a" * 64)))


@pytest.mark.parametrize(
    "path", ["", "x", uuid4().hex, f"{uuid4()}", f"{uuid4()}.", f"{uuid4()}.../../x", f"{uuid4()}./x", "../x.y"]
)
def test_what_is_no_key_of_ours_is_refused(path: str):
    with pytest.raises(ValueError, match=r"."):
        object_key(path)


def test_results_can_not_leave_their_job():
    job_id = uuid4()
    with pytest.raises(ValueError, match="can't be"):
        object_key(f"{job_id}.a/../../{uuid4()}/x")
