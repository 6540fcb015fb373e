"""Attempts that died are noticed, those that live are left alone, and places are told as Prefect has them."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from api.dispatch.outbox import start_due
from api.dispatch.watch import UNCLAIMED_SECONDS, Patience, Watch
from storage import dispatching, jobs, waiting
from storage.attempts import Attempt, AttemptLost, claim
from storage.database import Database, DatabaseUnavailable
from storage.tables import FAILED, LOST, QUEUED, RUNNING, START, Outbox, now
from tests.api.dispatch.fake_runs import FakeRun, FakeRuns
from tests.support.databases import job_row, outbox, submitted

PATIENCE = Patience(beat_seconds=2.0, dead_after_seconds=45.0, max_attempts=3)
LOOK_SECONDS = 2.0


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(database: Database, clock: Clock) -> Watch:
    return Watch(database, PATIENCE, clock)


@pytest.fixture
def attempt(database: Database, account_id: UUID, runs: FakeRuns) -> Attempt:
    """At work, and Prefect knows it."""
    job_id = submitted(database, account_id)
    start_due(database, runs)
    runs.runs[runs.only()].state = "RUNNING"
    return claim(database, job_id, runs.only(), 1)


def look_for(seconds: float, watch: Watch, runs: FakeRuns, clock: Clock, *, attempt: Attempt | None = None) -> None:
    """So much time passes, with the dispatcher's rounds in it; an attempt that is given beats."""
    for _ in range(int(seconds / LOOK_SECONDS)):
        if attempt is not None:
            attempt.beat()
        watch.silent_hosts()
        watch.ended_runs(runs)
        clock.seconds += LOOK_SECONDS


def state_of(database: Database, job_id: UUID) -> tuple[str, int]:
    job = job_row(database, job_id)
    return job.state, job.attempt


@pytest.mark.parametrize("told", ["RUNNING", "PENDING", "CRASHED", "FAILED", "COMPLETED"])
def test_an_attempt_that_beats_lives_whatever_prefect_says(
    database: Database, runs: FakeRuns, watch: Watch, clock: Clock, attempt: Attempt, told: str
):
    runs.runs[runs.only()].state = told
    runs.runs[runs.only()].age_seconds = 10_000
    look_for(200, watch, runs, clock, attempt=attempt)
    assert state_of(database, attempt.job_id) == (RUNNING, 1)


def test_an_attempt_that_beats_lives_though_prefect_has_forgotten_it(
    database: Database, runs: FakeRuns, watch: Watch, clock: Clock, attempt: Attempt
):
    runs.runs.clear()
    look_for(200, watch, runs, clock, attempt=attempt)
    assert state_of(database, attempt.job_id) == (RUNNING, 1)


def test_a_silent_host_is_noticed_within_two_minutes_while_prefect_says_running(
    database: Database, runs: FakeRuns, watch: Watch, clock: Clock, attempt: Attempt
):
    look_for(44, watch, runs, clock)
    assert state_of(database, attempt.job_id) == (RUNNING, 1)
    look_for(6, watch, runs, clock)
    assert state_of(database, attempt.job_id) == (QUEUED, 2)
    with pytest.raises(AttemptLost):
        attempt.beat()


def test_a_silent_host_is_noticed_while_prefect_is_away(
    database: Database, runs: FakeRuns, watch: Watch, clock: Clock, attempt: Attempt
):
    for _ in range(30):
        watch.silent_hosts()
        clock.seconds += LOOK_SECONDS
    assert state_of(database, attempt.job_id) == (QUEUED, 2)


def test_time_in_which_nobody_looked_is_no_silence(
    database: Database, runs: FakeRuns, watch: Watch, clock: Clock, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
):
    look_for(10, watch, runs, clock, attempt=attempt)

    def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(dispatching, "open_jobs", away)
        for _ in range(60):  # two minutes in which the attempt could not beat and we could not see it
            with pytest.raises(DatabaseUnavailable):
                watch.silent_hosts()
            clock.seconds += LOOK_SECONDS
    runs.runs[runs.only()].state = "CRASHED"  # by a watchdog of Prefect's, which saw no beat of its own either
    watch.silent_hosts()
    watch.ended_runs(runs)
    assert state_of(database, attempt.job_id) == (RUNNING, 1)
    look_for(60, watch, runs, clock, attempt=attempt)
    assert state_of(database, attempt.job_id) == (RUNNING, 1)


@pytest.mark.parametrize("told", ["CRASHED", "FAILED", "COMPLETED"])
def test_a_run_that_ended_without_a_word_is_tried_again_after_missed_beats(
    database: Database, runs: FakeRuns, watch: Watch, clock: Clock, attempt: Attempt, told: str
):
    look_for(4, watch, runs, clock, attempt=attempt)
    runs.runs[runs.only()].state = told
    look_for(8, watch, runs, clock)
    assert state_of(database, attempt.job_id) == (RUNNING, 1)
    look_for(6, watch, runs, clock)
    assert state_of(database, attempt.job_id) == (QUEUED, 2)
    assert [entry.attempt for entry in outbox(database, START)] == [2]


def test_a_job_whose_runs_die_again_and_again_fails_with_a_reason(
    database: Database, account_id: UUID, runs: FakeRuns, watch: Watch, clock: Clock
):
    job_id = submitted(database, account_id)
    for number in range(1, PATIENCE.max_attempts + 1):
        with database.write() as session:
            session.execute(update(Outbox).values(due_at=now() - timedelta(seconds=1)))
        start_due(database, runs)
        run_id = job_row(database, job_id).run_id
        assert run_id is not None
        claim(database, job_id, run_id, number)
        runs.runs[run_id].state = "CRASHED"
        look_for(14, watch, runs, clock)
    job = job_row(database, job_id)
    assert (job.state, job.error_code) == (FAILED, "crashed")
    assert "crashed" in (job.error_message or "")


@pytest.mark.parametrize("told", ["CANCELLING", "CANCELLED"])
@pytest.mark.parametrize("claimed", [True, False])
def test_a_run_cancelled_in_prefect_is_a_cancelled_job(
    database: Database, account_id: UUID, runs: FakeRuns, watch: Watch, told: str, claimed: bool
):
    job_id = submitted(database, account_id)
    start_due(database, runs)
    if claimed:
        claim(database, job_id, runs.only(), 1)
    runs.runs[runs.only()].state = told
    watch.ended_runs(runs)
    job = job_row(database, job_id)
    assert (job.state, job.error_code, job.attempt) == (FAILED, jobs.CANCELLED, 1)


def test_a_run_deleted_in_prefect_is_lost_after_two_looks(
    database: Database, account_id: UUID, runs: FakeRuns, watch: Watch
):
    job_id = submitted(database, account_id)
    start_due(database, runs)
    runs.runs.clear()
    watch.ended_runs(runs)
    assert job_row(database, job_id).state == QUEUED
    watch.ended_runs(runs)
    assert job_row(database, job_id).state == LOST


def test_a_run_that_is_there_again_at_the_second_look_is_not_lost(
    database: Database, account_id: UUID, runs: FakeRuns, watch: Watch
):
    job_id = submitted(database, account_id)
    start_due(database, runs)
    made = dict(runs.runs)
    for _ in range(3):
        runs.runs.clear()
        watch.ended_runs(runs)
        runs.runs.update(made)
        watch.ended_runs(runs)
    assert job_row(database, job_id).state == QUEUED


@pytest.mark.parametrize("told", ["PENDING", "RUNNING"])
def test_a_run_that_was_taken_and_does_not_claim_is_tried_again(
    database: Database, account_id: UUID, runs: FakeRuns, watch: Watch, told: str
):
    job_id = submitted(database, account_id)
    start_due(database, runs)
    run = runs.runs[runs.only()]
    run.state, run.age_seconds = told, UNCLAIMED_SECONDS - 1
    watch.ended_runs(runs)
    assert state_of(database, job_id) == (QUEUED, 1)
    run.age_seconds = UNCLAIMED_SECONDS + 1
    watch.ended_runs(runs)
    assert state_of(database, job_id) == (QUEUED, 2)


def test_a_run_waits_as_long_as_it_must(database: Database, account_id: UUID, runs: FakeRuns, watch: Watch):
    job_id = submitted(database, account_id)
    start_due(database, runs)
    runs.runs[runs.only()].age_seconds = 1e6
    watch.ended_runs(runs)
    assert state_of(database, job_id) == (QUEUED, 1)


def test_a_run_that_died_before_its_claim_is_tried_again_at_once(
    database: Database, account_id: UUID, runs: FakeRuns, watch: Watch
):
    job_id = submitted(database, account_id)
    start_due(database, runs)
    runs.runs[runs.only()].state = "CRASHED"
    watch.ended_runs(runs)
    assert state_of(database, job_id) == (QUEUED, 2)


def test_a_waiting_job_without_run_and_wish_is_not_forgotten(
    database: Database, account_id: UUID, runs: FakeRuns, watch: Watch
):
    job_id = submitted(database, account_id)
    (entry,) = outbox(database)
    dispatching.done(database, entry)
    watch.ended_runs(runs)
    assert start_due(database, runs) == 1
    assert job_row(database, job_id).run_id == runs.only()


def test_places_count_everything_that_starts_before_foreign_runs_included(
    database: Database, account_id: UUID, runs: FakeRuns, watch: Watch
):
    runs.runs[uuid4()] = FakeRun(None, 1)
    ids = [submitted(database, account_id) for _ in range(3)]
    start_due(database, runs)
    late = submitted(database, account_id)
    watch.places(runs)
    assert waiting.read(database).places == {ids[0]: 2, ids[1]: 3, ids[2]: 4, late: 5}
    revisions = jobs.revisions(database, ids)
    watch.places(runs)
    assert jobs.revisions(database, ids) == revisions, "a place that stays is no news"
    jobs.cancel(database, account_id, ids[0])
    runs.runs[job_row(database, ids[0]).run_id or uuid4()].state = "CANCELLED"
    watch.places(runs)
    assert waiting.read(database).places == {ids[1]: 2, ids[2]: 3, late: 4}


def test_without_waiting_jobs_prefect_is_not_asked(database: Database, runs: FakeRuns, watch: Watch):
    runs.away = True
    watch.places(runs)
