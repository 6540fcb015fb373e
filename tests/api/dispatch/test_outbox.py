"""Runs are made once and stopped for good, whatever Prefect does meanwhile."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from api.dispatch.outbox import FORCE_AFTER_SECONDS, start_due, stop_due
from api.dispatch.runs import PrefectUnavailable
from storage import dispatching, jobs
from storage.admission import Rules
from storage.attempts import claim
from storage.database import Database
from storage.tables import RUNNING, START, STOP
from tests.api.dispatch.fake_runs import FakeRun, FakeRuns, pass_seconds
from tests.support.databases import job_row, outbox, submitted

ALL = Rules(release_ahead=1000, release_per_account=1000)


def test_a_submitted_job_gets_its_run(database: Database, account_id: UUID, runs: FakeRuns):
    job_id = submitted(database, account_id, title="Fox")
    assert start_due(database, runs) == 1
    run_id = runs.only()
    assert job_row(database, job_id).run_id == run_id
    assert (runs.runs[run_id].job_id, runs.runs[run_id].attempt, runs.runs[run_id].title) == (job_id, 1, "Fox")
    assert outbox(database) == []
    assert start_due(database, runs) == 0


def test_an_interrupted_job_goes_before_those_that_have_not_begun(database: Database, account_id: UUID, runs: FakeRuns):
    job_id = submitted(database, account_id)
    start_due(database, runs)
    attempt = claim(database, job_id, runs.only(), 1)
    assert attempt.give_back()
    start_due(database, runs)
    assert sorted(runs.queues.values()) == ["default", "high"]
    jobs.cancel(database, account_id, job_id)
    jobs.retry(database, account_id, job_id)
    start_due(database, runs)
    assert sorted(runs.queues.values()) == ["default", "default", "high"], "who retries waits like everybody"


def test_while_prefect_is_away_the_wish_waits(database: Database, account_id: UUID, runs: FakeRuns):
    submitted(database, account_id)
    runs.away = True
    with pytest.raises(PrefectUnavailable):
        start_due(database, runs)
    assert start_due(database, runs) == 0, "not before its pause is over"
    runs.away = False
    pass_seconds(database, 60)
    assert start_due(database, runs) == 1


def test_who_came_first_starts_first_also_when_making_its_run_failed_once(
    database: Database, account_id: UUID, runs: FakeRuns
):
    first = submitted(database, account_id)
    runs.away = True
    with pytest.raises(PrefectUnavailable):
        start_due(database, runs)
    runs.away = False
    second = submitted(database, account_id)
    start_due(database, runs)
    pass_seconds(database, 60)
    start_due(database, runs)
    assert [runs.runs[run.id].job_id for run in runs.waiting()] == [first, second]


def test_a_run_whose_making_was_not_heard_of_is_found_again(database: Database, account_id: UUID, runs: FakeRuns):
    job_id = submitted(database, account_id)
    runs.deaf = True
    with pytest.raises(PrefectUnavailable):
        start_due(database, runs)
    runs.deaf = False
    pass_seconds(database, 60)
    start_due(database, runs)
    assert job_row(database, job_id).run_id == runs.only()


def test_a_run_that_claimed_before_it_was_noted_is_left_alone(
    database: Database, account_id: UUID, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
):
    job_id = submitted(database, account_id)
    begun = dispatching.job_to_start

    def and_claim(*given):
        job = begun(*given)
        run_id = runs.start(job_id, 1, title="", method="", queue="default", waiting_since=datetime.now(UTC))
        claim(database, job_id, run_id, 1)
        return job

    monkeypatch.setattr(dispatching, "job_to_start", and_claim)
    start_due(database, runs)
    assert job_row(database, job_id).state == RUNNING
    assert outbox(database) == []


@pytest.mark.parametrize("end", [jobs.cancel, jobs.remove])
def test_a_run_made_for_a_job_that_ended_meanwhile_is_stopped(
    database: Database, account_id: UUID, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch, end
):
    job_id = submitted(database, account_id)
    make = runs.start

    def and_end(*given, **named):
        run_id = make(*given, **named)
        end(database, account_id, job_id)
        return run_id

    monkeypatch.setattr(runs, "start", and_end)
    start_due(database, runs)
    stop_due(database, runs)
    assert runs.runs[runs.only()].state == "CANCELLED"


def test_a_job_cancelled_before_its_run_was_made_gets_none(database: Database, account_id: UUID, runs: FakeRuns):
    job_id = submitted(database, account_id)
    jobs.cancel(database, account_id, job_id)
    assert start_due(database, runs) == 0
    assert runs.runs == {}
    assert outbox(database) == []


def test_many_are_started_in_their_order(database: Database, account_id: UUID, runs: FakeRuns):
    ids = [submitted(database, account_id) for _ in range(5)]
    assert start_due(database, runs, ALL) == 5
    assert [run.job_id for run in runs.runs.values()] == ids


def test_a_slow_prefect_takes_no_more_than_its_share_of_a_round(
    database: Database, account_id: UUID, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
):
    for _ in range(3):
        submitted(database, account_id)
    monkeypatch.setattr("api.dispatch.outbox.START_SECONDS", -1.0)
    assert start_due(database, runs) == 0
    monkeypatch.undo()
    assert start_due(database, runs) == 3


def stopping(database: Database, runs: FakeRuns, state: str) -> UUID:
    job_id, run_id = uuid4(), uuid4()
    runs.runs[run_id] = FakeRun(job_id, 1, state=state)
    dispatching.stop_run(database, job_id, run_id)
    return run_id


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"])
def test_a_run_that_has_ended_needs_no_stop(database: Database, runs: FakeRuns, state: str):
    stopping(database, runs, state)
    stop_due(database, runs)
    assert (outbox(database), runs.stops) == ([], [])


def test_a_run_that_nobody_knows_needs_no_stop(database: Database, runs: FakeRuns):
    dispatching.stop_run(database, uuid4(), uuid4())
    stop_due(database, runs)
    assert outbox(database) == []


def test_a_run_at_work_is_asked_once_looked_after_and_at_last_forced(database: Database, runs: FakeRuns):
    run_id = stopping(database, runs, "RUNNING")
    stop_due(database, runs)
    assert runs.stops == [(run_id, False)]
    for _ in range(3):
        pass_seconds(database, 5)
        stop_due(database, runs)
    assert runs.stops == [(run_id, False)], "a worker is on it"
    pass_seconds(database, FORCE_AFTER_SECONDS)
    stop_due(database, runs)
    assert runs.stops == [(run_id, False), (run_id, True)]
    pass_seconds(database, 5)
    stop_due(database, runs)
    assert outbox(database) == []


def test_one_that_cannot_be_stopped_does_not_hold_up_the_others(database: Database, runs: FakeRuns):
    runs.broken.add(stopping(database, runs, "RUNNING"))
    good = stopping(database, runs, "RUNNING")
    with pytest.raises(PrefectUnavailable):
        stop_due(database, runs)
    stop_due(database, runs)
    assert runs.stops == [(good, False)]


def test_starts_and_stops_are_apart(database: Database, account_id: UUID, runs: FakeRuns):
    submitted(database, account_id)
    stopping(database, runs, "RUNNING")
    stop_due(database, runs)
    assert len(outbox(database, START)) == 1
    start_due(database, runs)
    assert len(outbox(database, STOP)) == 1
