"""What is counted for operators: once, in the transaction that it is about, whatever happens to the job later."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlmodel import col

from storage import dispatching, jobs, measures, removal, tally
from storage.attempts import AttemptLost, claim, record_end
from storage.database import Database
from storage.tables import FAILED, Job
from tests.support.databases import at_work, dispatched, job_row, new_account, submitted


@pytest.fixture
def account_id(database: Database) -> UUID:
    return new_account(database)


def figures(database: Database) -> dict[str, dict[tuple[str, ...], dict[str, float]]]:
    with database.read() as session:
        return tally.read(session)


def count(database: Database, family: tally.Family, *labels: str) -> float:
    return figures(database).get(family.name, {}).get(labels, {}).get("", 0.0)


def took(database: Database, family: tally.Family, *labels: str) -> tuple[float, float]:
    """How many, and how long together."""
    parts = dict(figures(database).get(family.name, {}).get(labels, {}))
    seconds = parts.pop(tally.SUM, 0.0)
    return sum(parts.values()), seconds


def test_a_job_from_wait_to_end(database: Database, account_id: UUID):
    job_id = submitted(database, account_id)
    attempt = at_work(database, job_id)
    waits, waited = took(database, measures.WAIT, measures.START)
    assert (waits, 0 <= waited < 30) == (1, True)
    attempt.end_step("sfm", 12.5, made=True)
    attempt.end_step("train", 100.0, made=True, device="cuda")
    attempt.finish(files={}, quality={}, scale=None)
    assert took(database, measures.STEP_SECONDS, "sfm", "cpu") == (1, 12.5)
    assert figures(database)[measures.STEP_SECONDS.name]["train", "cuda"] == {"120.0": 1.0, "sum": 100.0}
    assert count(database, measures.ENDED, measures.FINISHED) == 1
    jobs.remove(database, account_id, job_id)
    (entry,) = dispatching.due(database, kinds=["delete"])
    removal.forget_job(database, entry)
    assert count(database, measures.ENDED, measures.FINISHED) == 1
    assert count(database, measures.ENDED, measures.DELETED) == 0


def test_a_step_is_counted_once_however_often_it_is_told(database: Database, account_id: UUID):
    job_id = submitted(database, account_id)
    first = at_work(database, job_id)
    first.end_step("sfm", 12.5, made=True)
    first.end_step("sfm", 12.5, made=True)  # the answer was lost
    first.give_back()
    second = at_work(database, job_id)
    second.end_step("sfm", 12.5, made=False)  # found finished
    assert took(database, measures.STEP_SECONDS, "sfm", "cpu") == (1, 12.5)
    second.end_step("train", 7.0, made=False)  # made by an attempt that was killed before it could say so
    second.end_step("sfm", 13.5, made=True)  # made again
    assert took(database, measures.STEP_SECONDS, "train", "cpu") == (1, 7.0)
    assert took(database, measures.STEP_SECONDS, "sfm", "cpu") == (2, 26.0)
    assert took(database, measures.WAIT, measures.RESUME)[0] == 1


def test_every_way_to_an_end_is_counted(database: Database, account_id: UUID):
    ids = [submitted(database, account_id) for _ in range(7)]
    at_work(database, ids[0]).fail(error_code="too_few_frames", error_message="Film longer.")
    at_work(database, ids[1]).fail(error_code="made by a stranger", error_message="")
    jobs.cancel(database, account_id, ids[2])
    jobs.remove(database, account_id, ids[3])
    run_id = dispatched(database, ids[4])
    claim(database, ids[4], run_id, 1)
    assert record_end(database, ids[4], run_id, error_code="internal", error_message="")
    assert not record_end(database, ids[4], run_id, error_code="internal", error_message="")
    at_work(database, ids[5])
    (seen,) = [job for job in dispatching.open_jobs(database) if job.id == ids[5]]
    dispatching.run_lost(database, seen)
    dispatching.run_lost(database, seen)
    at_work(database, ids[6])
    (seen,) = [job for job in dispatching.open_jobs(database) if job.id == ids[6]]
    assert dispatching.attempt_died(database, seen, max_attempts=1, reason="test") == FAILED
    assert dispatching.attempt_died(database, seen, max_attempts=1, reason="test") is None
    found = figures(database)
    assert found[measures.ENDED.name] == {
        ("failed",): {"": 4.0},
        ("cancelled",): {"": 1.0},
        ("deleted",): {"": 1.0},
        ("lost",): {"": 1.0},
    }
    assert found[measures.FAILURES.name] == {
        (slug,): {"": 1.0} for slug in ("too_few_frames", "other", "internal", "crashed")
    }
    assert count(database, measures.DEATHS) == 1


def test_tries_at_a_better_result_count_their_steps_and_deaths_only(database: Database, account_id: UUID):
    job_id = submitted(database, account_id)
    tries = [submitted(database, account_id) for _ in range(4)]
    with database.write() as session:
        session.execute(update(Job).where(col(Job.id).in_(tries)).values(reprocess_of=job_id))
    attempt = at_work(database, tries[0])
    attempt.end_step("train", 3.0, made=True)
    attempt.fail(error_code="internal", error_message="")
    run_id = dispatched(database, tries[1])
    claim(database, tries[1], run_id, 1)
    record_end(database, tries[1], run_id, error_code="internal", error_message="")
    at_work(database, tries[2])
    (seen,) = [job for job in dispatching.open_jobs(database) if job.id == tries[2]]
    dispatching.attempt_died(database, seen, max_attempts=1, reason="test")
    at_work(database, tries[3])
    (seen,) = [job for job in dispatching.open_jobs(database) if job.id == tries[3]]
    dispatching.run_lost(database, seen)
    assert figures(database).keys() == {measures.STEP_SECONDS.name, measures.DEATHS.name}


def test_what_is_rolled_back_is_not_counted(database: Database, account_id: UUID):
    job_id = submitted(database, account_id)
    attempt = at_work(database, job_id)
    before = figures(database)
    jobs.cancel(database, account_id, job_id)
    with pytest.raises(AttemptLost):
        attempt.end_step("sfm", 1.0, made=True)
    with suppress(RuntimeError), database.write() as session:
        tally.add(session, measures.DEATHS.one())
        raise RuntimeError
    after = figures(database)
    assert after.pop(measures.ENDED.name) == {("cancelled",): {"": 1.0}}
    assert after == before


def test_many_at_once_lose_nothing(database: Database):
    def ten(number: int) -> None:
        for _ in range(10):
            with database.write() as session:
                both = [measures.DEATHS.one(), measures.failed("crashed")]
                tally.add(session, *(both if number % 2 else reversed(both)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ten, range(4)))
    assert count(database, measures.DEATHS) == count(database, measures.FAILURES, "crashed") == 40


def test_a_wait_begins_when_the_job_may_be_started(database: Database, account_id: UUID):
    job_id = submitted(database, account_id)
    before = job_row(database, job_id).queued_at
    assert before is not None
    at_work(database, job_id)
    (seen,) = [job for job in dispatching.open_jobs(database) if job.id == job_id]
    dispatching.attempt_died(database, seen, max_attempts=9, reason="test")
    again = job_row(database, job_id).queued_at
    assert again is not None
    assert again > before


def test_levels_are_set_and_labels_are_known_ones(database: Database):
    tally.put(database, measures.STORE_BYTES.at(5, **{"class": "uploads"}), measures.STORE_MEASURED.at(1.5))
    tally.put(database, measures.STORE_BYTES.at(3, **{"class": "uploads"}))
    assert count(database, measures.STORE_BYTES, "uploads") == 3
    with pytest.raises(ValueError, match="has the labels"):
        measures.FAILURES.one(code="x")
    assert measures.WAIT.of(-1.0, kind=measures.START)[1].value == 0
    assert measures.WAIT.of(1e9, kind=measures.START)[0].part == "+Inf"
    assert measures.step_took("a new one", "tpu", 1.0)[0].labels == '["other", "cpu"]'
