"""What the dispatcher reads and writes: entries in turn, deaths counted, and a deleted job's rows gone."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update
from sqlmodel import col

from storage import dispatching, jobs, removal, uploads, waiting
from storage.attempts import Attempt, AttemptLost
from storage.database import Database
from storage.jobs import Submission
from storage.tables import BATCH, DELETE, FAILED, LOST, QUEUED, RUNNING, START, STOP, Outbox, now
from tests.support.databases import (
    ALL_KINDS,
    FILES,
    at_work,
    counts,
    dispatched,
    job_row,
    new_account,
    new_job,
    outbox,
    seen,
    submitted,
)


@pytest.fixture
def account_id(database: Database) -> UUID:
    return new_account(database)


def all_due_now(database: Database) -> None:
    with database.write() as session:
        session.execute(update(Outbox).values(due_at=now() - timedelta(seconds=1)))


def test_entries_come_in_their_order_by_kind_and_are_limited(database: Database, account_id: UUID):
    ids = [submitted(database, account_id) for _ in range(3)]
    dispatching.stop_run(database, ids[0], uuid4())
    assert [entry.job_id for entry in dispatching.due(database, kinds=[START])] == ids
    assert [entry.kind for entry in dispatching.due(database, kinds=[STOP, DELETE])] == [STOP]
    assert len(dispatching.due(database, kinds=ALL_KINDS, limit=2)) == 2


def test_a_failed_entry_comes_again_after_a_pause_that_grows(database: Database, account_id: UUID):
    submitted(database, account_id)
    pauses = []
    for tries in range(8):
        all_due_now(database)
        (entry,) = dispatching.due(database, kinds=[START])
        assert entry.tries == tries
        before = now()
        dispatching.again(database, entry)
        assert dispatching.due(database, kinds=[START]) == []
        (later,) = outbox(database)
        pauses.append((later.due_at - before).total_seconds())
    assert pauses[0] == pytest.approx(1, abs=0.5)
    assert pauses[3] == pytest.approx(8, abs=0.5)
    assert max(pauses) <= dispatching.LONGEST_PAUSE_SECONDS + 0.5
    dispatching.again(database, later, seconds=7)
    assert (outbox(database)[0].due_at - now()).total_seconds() == pytest.approx(7, abs=0.5)


def test_entries_that_are_put_off_do_not_keep_others_from_their_turn(database: Database, account_id: UUID):
    ids = [submitted(database, account_id) for _ in range(4)]
    for entry in dispatching.due(database, kinds=[START], limit=2):
        dispatching.again(database, entry, seconds=-0.001)  # due again at once, as with a short pause and slow rounds
    assert [entry.job_id for entry in dispatching.due(database, kinds=[START], limit=2)] == ids[2:]


def test_a_done_entry_is_gone_and_may_be_done_twice(database: Database, account_id: UUID):
    submitted(database, account_id)
    (entry,) = dispatching.due(database, kinds=[START])
    dispatching.done(database, entry)
    dispatching.done(database, entry)
    dispatching.again(database, entry)
    assert outbox(database) == []


@pytest.mark.parametrize("end", [jobs.cancel, jobs.remove])
def test_a_run_made_for_a_job_that_ended_meanwhile_is_refused(database: Database, account_id: UUID, end):
    job_id = submitted(database, account_id)
    (entry,) = dispatching.due(database, kinds=[START])
    assert dispatching.job_to_start(database, entry) is not None
    end(database, account_id, job_id)
    assert dispatching.job_to_start(database, entry) is None
    assert not dispatching.started(database, entry, uuid4())
    assert job_row(database, job_id).run_id is None


def test_an_entry_of_an_earlier_attempt_starts_nothing(database: Database, account_id: UUID):
    job_id = submitted(database, account_id)
    (entry,) = dispatching.due(database, kinds=[START])
    jobs.cancel(database, account_id, job_id)
    jobs.retry(database, account_id, job_id)
    assert dispatching.job_to_start(database, entry) is None
    assert not dispatching.started(database, entry, uuid4())


def test_open_jobs_are_those_that_wait_or_are_at_work(database: Database, account_id: UUID):
    waiting, working, failed, gone = (submitted(database, account_id) for _ in range(4))
    attempt = at_work(database, working)
    jobs.cancel(database, account_id, failed)
    jobs.remove(database, account_id, gone)
    found = {job.id: job for job in dispatching.open_jobs(database)}
    assert found.keys() == {waiting, working}
    assert (found[working].state, found[working].lease_token) == (RUNNING, attempt.token)
    assert (found[waiting].state, found[waiting].run_id, found[waiting].lease_token) == (QUEUED, None, None)


def test_places_are_written_for_waiting_jobs_only(database: Database, account_id: UUID):
    first, working = submitted(database, account_id), submitted(database, account_id)
    at_work(database, working)
    dispatching.set_positions(database, {first: 2, working: 1, uuid4(): 3})
    assert waiting.read(database).places == {first: 2}
    assert job_row(database, working).queue_position is None
    at_work(database, first)
    assert job_row(database, first).queue_position is None


def test_what_turns_depend_on_is_read_from_rows(database: Database, account_id: UUID):
    before = now()
    again, working, fresh = (submitted(database, account_id, priority=BATCH) for _ in range(3))
    at_work(database, working)
    assert at_work(database, again).give_back()
    jobs.remove(database, account_id, submitted(database, account_id))
    with database.write() as session:
        later = update(Outbox).where(col(Outbox.job_id) == fresh).values(due_at=now() + timedelta(hours=1))
        session.execute(later)
    queue = waiting.read(database)
    found = {job.id: job for job in queue.waiting}
    assert found.keys() == {again, fresh}
    assert [found[job].interrupted for job in (again, fresh)] == [True, False]
    assert all(job.account_id == account_id and before <= job.since <= now() for job in queue.waiting)
    assert queue.served.at_work == {(account_id, BATCH): 1}
    assert [(start.account_id, start.priority) for start in queue.served.starts] == [(account_id, BATCH)] * 2
    assert queue.put_off == {fresh}


def died(database: Database, job_id: UUID, *, max_attempts: int = 3) -> str | None:
    return dispatching.attempt_died(database, seen(database, job_id), max_attempts=max_attempts, reason="gone")


def test_a_job_is_given_up_after_deaths_without_progress(database: Database, account_id: UUID):
    job_id = submitted(database, account_id)
    states = []
    for _ in range(3):
        at_work(database, job_id)
        states.append(died(database, job_id))
        all_due_now(database)
    assert states == [QUEUED, QUEUED, FAILED]
    job = job_row(database, job_id)
    assert (job.error_code, job.crashes, job.attempt) == ("crashed", 3, 3)
    assert "gone" in (job.error_message or "")
    assert outbox(database, START) == []


@pytest.mark.parametrize(("made", "crashes"), [(False, 2), (True, 1)])
def test_a_newly_made_step_resets_the_count_and_a_found_one_does_not(
    database: Database, account_id: UUID, made: bool, crashes: int
):
    job_id = submitted(database, account_id)
    at_work(database, job_id)
    died(database, job_id)
    at_work(database, job_id).end_step("extract", 1.0, made=made)
    died(database, job_id)
    assert job_row(database, job_id).crashes == crashes


def test_the_second_death_in_a_row_waits_before_the_next_attempt(database: Database, account_id: UUID):
    job_id = submitted(database, account_id)
    at_work(database, job_id)
    died(database, job_id)
    (entry,) = outbox(database, START)
    assert (entry.due_at - now()).total_seconds() <= 0
    at_work(database, job_id)
    died(database, job_id)
    (entry,) = outbox(database, START)
    assert (entry.due_at - now()).total_seconds() == pytest.approx(dispatching.DEATH_PAUSE_SECONDS, abs=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda attempt, account_id: attempt.beat(),
        lambda attempt, account_id: attempt.progress(1, 2, 50),
        lambda attempt, account_id: attempt.give_back(),
        lambda attempt, account_id: attempt.finish(files=FILES, quality={}, scale=None),
        lambda attempt, account_id: jobs.cancel(attempt.database, account_id, attempt.job_id),
        lambda attempt, account_id: jobs.remove(attempt.database, account_id, attempt.job_id),
    ],
)
def test_an_attempt_dies_only_if_nothing_changed_since_it_was_seen(database: Database, account_id: UUID, change):
    job_id = submitted(database, account_id)
    attempt = at_work(database, job_id)
    job = seen(database, job_id)
    change(attempt, account_id)
    before = job_row(database, job_id).model_dump()
    assert dispatching.attempt_died(database, job, max_attempts=3, reason="gone") is None
    assert job_row(database, job_id).model_dump() == before


def test_an_attempt_that_claims_after_it_was_seen_waiting_lives(database: Database, account_id: UUID):
    job_id = submitted(database, account_id)
    job = seen(database, job_id)
    attempt = at_work(database, job_id)
    assert dispatching.attempt_died(database, job, max_attempts=3, reason="gone") is None
    attempt.beat()


def test_the_dead_attempts_run_is_stopped(database: Database, account_id: UUID):
    job_id = submitted(database, account_id)
    at_work(database, job_id)
    run_id = job_row(database, job_id).run_id
    died(database, job_id)
    assert [entry.run_id for entry in outbox(database, STOP)] == [run_id]


def test_a_run_cancelled_in_prefect_ends_its_own_job_only(database: Database, account_id: UUID):
    job_id = submitted(database, account_id)
    at_work(database, job_id)
    old = seen(database, job_id)
    died(database, job_id)
    at_work(database, job_id)
    dispatching.run_cancelled(database, old)
    assert job_row(database, job_id).state == RUNNING
    dispatching.run_cancelled(database, seen(database, job_id))
    job = job_row(database, job_id)
    assert (job.state, job.error_code, job.error_message) == (FAILED, jobs.CANCELLED, jobs.CANCELLED_MESSAGE)


def test_a_lost_run_leaves_a_job_that_ended_and_can_be_retried(database: Database, account_id: UUID):
    job_id = submitted(database, account_id)
    attempt = at_work(database, job_id)
    job = seen(database, job_id)
    attempt.beat()
    dispatching.run_lost(database, job)
    assert job_row(database, job_id).state == RUNNING, "it beats, so it lives"
    dispatching.run_lost(database, seen(database, job_id))
    row = job_row(database, job_id)
    assert row.state == LOST
    assert row.finished_at is not None
    with pytest.raises(AttemptLost):
        attempt.beat()
    assert jobs.retry(database, account_id, job_id).state == QUEUED


def test_a_waiting_job_that_nobody_would_start_gets_an_entry(database: Database, account_id: UUID):
    ids = [submitted(database, account_id) for _ in range(4)]
    dispatched(database, ids[1])
    at_work(database, ids[2])
    jobs.remove(database, account_id, ids[3])
    assert dispatching.ensure_started(database) == 0
    (entry,) = [entry for entry in outbox(database, START) if entry.job_id == ids[0]]
    dispatching.done(database, entry)
    assert dispatching.ensure_started(database) == 1
    assert dispatching.ensure_started(database) == 0
    (entry,) = outbox(database, START)
    assert (entry.job_id, entry.attempt) == (ids[0], 1)


def test_nothing_of_a_deleted_job_is_left(database: Database, account_id: UUID):
    upload = uploads.create(database, account_id, "mp4", seconds=60)
    before = counts(database)
    job = new_job(account_id, blob_name=upload.blob_name)
    jobs.submit(database, job, lambda row: {}, Submission(key="k", body_sha256="b"))
    attempt: Attempt = at_work(database, job.id)
    attempt.take_slot(["host/cpu"])
    dispatching.stop_run(database, job.id, uuid4())
    jobs.remove(database, account_id, job.id)
    assert removal.was_at_work(database, job.id)
    assert removal.orphaned_upload(database, job.id) == upload.blob_name
    (entry,) = dispatching.due(database, kinds=[DELETE])
    removal.forget_job(database, entry)
    left = counts(database)
    assert left.pop("tally") > 0  # figures that only grow; they name no job
    assert left == {name: n for name, n in {**before, "upload": 0}.items() if name != "tally"}
    removal.forget_job(database, entry)  # may be repeated


def test_an_upload_stays_while_another_job_reads_it(database: Database, account_id: UUID):
    upload = uploads.create(database, account_id, "mp4", seconds=60)
    first, second = (submitted(database, account_id, blob_name=upload.blob_name) for _ in range(2))
    for job_id, left in ((first, 1), (second, 0)):
        jobs.remove(database, account_id, job_id)
        (entry,) = dispatching.due(database, kinds=[DELETE])
        assert (removal.orphaned_upload(database, job_id) is None) is (left == 1)
        removal.forget_job(database, entry)
        assert counts(database)["upload"] == left
