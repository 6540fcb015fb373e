"""Attempts: one holds a job, and who has lost it can write nothing more."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from storage import dispatching, jobs
from storage.attempts import Attempt, AttemptLost, claim, record_end
from storage.database import Database
from storage.tables import FAILED, FINISHED, QUEUED, RUNNING, Slot
from tests.support.databases import FILES, at_work, counts, dispatched, job_row, new_account, outbox, seen, submitted

WRITES: dict[str, Callable[[Attempt], object]] = {
    "job": lambda attempt: attempt.job(),
    "beat": lambda attempt: attempt.beat(),
    "begin_step": lambda attempt: attempt.begin_step("train"),
    "progress": lambda attempt: attempt.progress(1, 2, 50),
    "progress without percent": lambda attempt: attempt.progress(1, 2, None),
    "end_step": lambda attempt: attempt.end_step("train", 1.0, made=True),
    "preview": lambda attempt: attempt.preview("jobs/x/previews/1/1.jpg"),
    "camera": lambda attempt: attempt.camera({"up": {}}),
    "warn": lambda attempt: attempt.warn([{"code": "x"}]),
    "finish": lambda attempt: attempt.finish(files=FILES, quality={}, scale=None),
    "fail": lambda attempt: attempt.fail(error_code="x", error_message="X."),
    "take_slot": lambda attempt: attempt.take_slot(["host/cpu"]),
}
ENDS: dict[str, Callable[[Database, UUID, Attempt], object]] = {
    "cancelled": lambda database, account, attempt: jobs.cancel(database, account, attempt.job_id),
    "removed": lambda database, account, attempt: jobs.remove(database, account, attempt.job_id),
    "died": lambda database, account, attempt: dispatching.attempt_died(
        database, seen(database, attempt.job_id), max_attempts=3, reason="test"
    ),
    "given up": lambda database, account, attempt: dispatching.attempt_died(
        database, seen(database, attempt.job_id), max_attempts=1, reason="test"
    ),
    "run lost": lambda database, account, attempt: dispatching.run_lost(database, seen(database, attempt.job_id)),
    "cancelled in Prefect": lambda database, account, attempt: dispatching.run_cancelled(
        database, seen(database, attempt.job_id)
    ),
    "given back": lambda database, account, attempt: attempt.give_back(),
    "finished": lambda database, account, attempt: attempt.finish(files=FILES, quality={}, scale=None),
    "failed": lambda database, account, attempt: attempt.fail(error_code="x", error_message="X."),
    "ended by a hook": lambda database, account, attempt: record_end(
        database, attempt.job_id, run_of(attempt), error_code="x", error_message="X."
    ),
    "cancelled and retried": lambda database, account, attempt: (
        jobs.cancel(database, account, attempt.job_id),
        jobs.retry(database, account, attempt.job_id),
    ),
}


def run_of(attempt: Attempt) -> UUID:
    run_id = job_row(attempt.database, attempt.job_id).run_id
    assert run_id is not None
    return run_id


@pytest.fixture
def account_id(database: Database) -> UUID:
    return new_account(database)


@pytest.fixture
def attempt(database: Database, account_id: UUID) -> Attempt:
    return at_work(database, submitted(database, account_id))


@pytest.mark.parametrize("end", ENDS)
def test_no_late_writer_changes_anything(database: Database, account_id: UUID, attempt: Attempt, end: str):
    ENDS[end](database, account_id, attempt)
    row, rows, entries = job_row(database, attempt.job_id).model_dump(), counts(database), outbox(database)
    assert row["lease_token"] is None
    for write in WRITES.values():
        with pytest.raises(AttemptLost):
            write(attempt)
    assert not attempt.give_back()
    assert job_row(database, attempt.job_id).model_dump() == row
    assert counts(database) == rows
    assert outbox(database) == entries


def test_a_late_writer_can_not_touch_the_next_attempt_either(database: Database, account_id: UUID, attempt: Attempt):
    attempt.give_back()
    successor = at_work(database, attempt.job_id)
    assert successor.number == attempt.number + 1
    row = job_row(database, attempt.job_id).model_dump()
    for write in WRITES.values():
        with pytest.raises(AttemptLost):
            write(attempt)
    assert job_row(database, attempt.job_id).model_dump() == row
    successor.finish(files=FILES, quality={}, scale=None)


def test_every_write_of_a_holder_is_there(database: Database, attempt: Attempt):
    attempt.begin_step("train")
    attempt.progress(3, 10, 30)
    assert attempt.preview("jobs/x/previews/1/1.jpg") is None
    assert attempt.preview("jobs/x/previews/1/2.jpg") == "jobs/x/previews/1/1.jpg"
    attempt.camera({"up": {"x": 0, "y": 1, "z": 0}})
    job = attempt.job()
    assert (job.state, job.step, job.step_done, job.step_total, job.percent) == (RUNNING, "train", 3, 10, 30)
    assert job.camera_computed == {"up": {"x": 0, "y": 1, "z": 0}}
    attempt.end_step("train", 1.23456, made=True)
    attempt.end_step("export", 2.0, made=False)
    attempt.finish(files=FILES, quality={"psnr_db": 20.0}, scale=None)
    job = job_row(database, attempt.job_id)
    assert (job.state, job.percent, job.step, job.files, job.quality) == (FINISHED, 100, None, FILES, {"psnr_db": 20.0})
    assert job.step_seconds == {"train": 1.235, "export": 2.0}
    assert job.finished_at is not None
    assert job.scale is None


def test_the_percentage_never_falls_within_an_attempt(database: Database, attempt: Attempt):
    told = []
    for percent in (0, 10, 5, None, 10, 40, 39):
        attempt.progress(1, 2, percent)
        told.append(attempt.job().percent)
    assert told == [0, 10, 10, 10, 10, 40, 40]


def test_a_percentage_that_stays_is_no_news(database: Database, attempt: Attempt):
    attempt.progress(1, 100, 10)
    revision = attempt.job().revision
    attempt.progress(2, 100, 10)
    assert attempt.job().revision == revision


def test_warnings_are_added_once(database: Database, attempt: Attempt):
    attempt.warn([{"code": "a"}])
    attempt.warn([{"code": "a"}, {"code": "b"}])
    attempt.warn([])
    assert attempt.job().warnings == [{"code": "a"}, {"code": "b"}]


def test_only_the_right_run_and_attempt_claims(database: Database, account_id: UUID):
    job_id = submitted(database, account_id)
    run_id = dispatched(database, job_id)
    for run, number in ((uuid4(), 1), (run_id, 2), (run_id, 0)):
        with pytest.raises(AttemptLost):
            claim(database, job_id, run, number)
    with pytest.raises(AttemptLost):
        claim(database, uuid4(), run_id, 1)
    assert claim(database, job_id, run_id, 1).number == 1
    with pytest.raises(AttemptLost):
        claim(database, job_id, run_id, 1)


def test_a_run_that_the_dispatcher_has_not_noted_yet_claims(database: Database, account_id: UUID):
    job_id, run_id = submitted(database, account_id), uuid4()
    claim(database, job_id, run_id, 1)
    assert job_row(database, job_id).run_id == run_id
    (entry,) = outbox(database)
    assert dispatching.job_to_start(database, entry) is None
    assert dispatching.started(database, entry, run_id), "it is the job's run: it must not be stopped"
    assert not dispatching.started(database, entry, uuid4()), "a second run is not"
    assert job_row(database, job_id).run_id == run_id


@pytest.mark.parametrize("end", [jobs.cancel, jobs.remove])
def test_no_claim_after_the_job_was_ended(database: Database, account_id: UUID, end: Callable[..., object]):
    job_id = submitted(database, account_id)
    run_id = dispatched(database, job_id)
    end(database, account_id, job_id)
    with pytest.raises(AttemptLost):
        claim(database, job_id, run_id, 1)


def test_of_eight_claims_at_once_one_holds(database: Database, account_id: UUID):
    job_id = submitted(database, account_id)
    run_id, barrier = dispatched(database, job_id), threading.Barrier(8)

    def race(_: int) -> bool:
        barrier.wait()
        try:
            claim(database, job_id, run_id, 1)
        except AttemptLost:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(race, range(8))).count(True) == 1


def test_a_retried_job_keeps_when_it_first_started(database: Database, attempt: Attempt):
    began = attempt.job().started_at
    attempt.give_back()
    assert at_work(database, attempt.job_id).job().started_at == began


def test_giving_back_counts_no_crash_and_queues_the_next(database: Database, attempt: Attempt):
    assert attempt.give_back()
    job = job_row(database, attempt.job_id)
    assert (job.state, job.attempt, job.crashes, job.run_id) == (QUEUED, 2, 0, None)
    assert [entry.attempt for entry in outbox(database, "start")] == [2]


def test_a_hook_ends_the_job_of_its_own_run_only(database: Database, attempt: Attempt):
    assert not record_end(database, attempt.job_id, uuid4(), error_code="x", error_message="X.")
    assert record_end(database, attempt.job_id, run_of(attempt), error_code="x", error_message="X.")
    assert not record_end(database, attempt.job_id, run_of(attempt), error_code="y", error_message="Y.")
    job = job_row(database, attempt.job_id)
    assert (job.state, job.error_code, job.error_message) == (FAILED, "x", "X.")


def test_a_slot_is_held_by_one_of_many_who_take_it_at_once(database: Database, account_id: UUID):
    attempts = [at_work(database, submitted(database, account_id)) for _ in range(6)]
    for _ in range(3):
        barrier = threading.Barrier(len(attempts))

        def race(attempt: Attempt, barrier: threading.Barrier = barrier) -> str | None:
            barrier.wait()
            return attempt.take_slot(["host/cuda:0", "host/cuda:1"])

        with ThreadPoolExecutor(len(attempts)) as threads:
            taken = [name for name in threads.map(race, attempts) if name is not None]
        assert len(taken) == len(set(taken)) == counts(database)["slot"]
        assert len(taken) >= 1
        for attempt in attempts:
            attempt.release_slots()
        assert counts(database)["slot"] == 0


def test_a_holder_is_given_its_slot_again(database: Database, attempt: Attempt):
    assert attempt.take_slot(["host/cuda:0", "host/cuda:1"]) == "host/cuda:0"
    assert attempt.take_slot(["host/cuda:0", "host/cuda:1"]) == "host/cuda:0"
    assert counts(database)["slot"] == 1


def test_a_lost_attempt_releases_only_what_is_its_own(database: Database, account_id: UUID, attempt: Attempt):
    assert attempt.take_slot(["host/cpu"])
    jobs.cancel(database, account_id, attempt.job_id)
    other = at_work(database, submitted(database, account_id))
    assert other.take_slot(["host/cpu"]) == "host/cpu"
    attempt.release_slots()
    with database.read() as session:
        slot = session.get(Slot, "host/cpu")
    assert slot is not None
    assert slot.lease_token == other.token


@pytest.mark.parametrize("end", ENDS)
def test_a_slot_is_free_when_its_attempt_has_ended(database: Database, account_id: UUID, attempt: Attempt, end: str):
    other = at_work(database, submitted(database, account_id))
    assert attempt.take_slot(["host/cpu"]) == "host/cpu"
    assert other.take_slot(["host/cpu"]) is None
    ENDS[end](database, account_id, attempt)
    assert other.take_slot(["host/cpu"]) == "host/cpu"
