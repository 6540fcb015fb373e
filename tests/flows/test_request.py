"""What a run is asked for with, read back as it was written."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows import request


@given(job_id=st.uuids(), attempt=st.integers(1, 10**6), method=st.sampled_from(["glomap", "colmap"]))
def test_tags_tell_the_attempt_and_the_job(job_id: UUID, attempt: int, method: str):
    tags = request.tags(job_id, attempt, method)
    assert request.attempt_of(tags) == attempt
    assert request.attempt_of(reversed(tags)) == attempt
    assert request.job_tag(job_id) in tags
    assert method in tags


@pytest.mark.parametrize("tags", [[], ["attempt"], ["attempt:"], ["attempt:x"], ["attempt:-1"], ["xattempt:1"], ["1"]])
def test_a_run_of_somebody_else_has_no_attempt(tags: list[str]):
    assert request.attempt_of(tags) is None


def test_parameters_are_the_jobs_id_and_nothing_else():
    job_id = uuid4()
    assert request.parameters(job_id) == {"job_id": str(job_id)}


def test_names_are_titles_and_keys_are_by_attempt():
    job_id = uuid4()
    assert request.run_name("Fox", 1) == "Fox"
    assert request.run_name("Fox", 2) == "Fox (attempt 2)"
    keys = {request.idempotency_key(job, attempt) for job in (job_id, uuid4()) for attempt in (1, 2, 12)}
    assert len(keys) == 6
