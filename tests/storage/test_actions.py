"""What was done about jobs is written down with it, and nothing is written that was not done."""

from datetime import timedelta
from uuid import uuid4

from sqlalchemy import update
from sqlmodel import col

from storage import actions, dispatching
from storage.database import Database
from storage.tables import Action, Outbox, now
from tests.support.databases import at_work, counts, dispatched, job_row, new_account, outbox, seen, submitted

WEEK = timedelta(days=7)


def told(database: Database) -> list[tuple]:
    return [(one.job_id, one.attempt, one.kind, one.reason) for one in actions.newest(database, limit=9, within=WEEK)]


def test_deaths_with_the_silence_before_them_and_the_slot_that_came_free(database: Database):
    job_id = submitted(database, new_account(database))
    attempt = at_work(database, job_id)
    assert attempt.take_slot(["host/cuda:0"]) == "host/cuda:0"
    gone = seen(database, job_id)
    kwargs = {"max_attempts": 2, "reason": "its host is gone", "silent_seconds": 47.5}
    dispatching.attempt_died(database, gone, **kwargs)
    assert dispatching.attempt_died(database, gone, **kwargs) is None, "somebody else was faster: nothing was done"
    assert counts(database)["slot"] == 0
    second = at_work(database, job_id)
    dispatching.attempt_died(database, seen(database, job_id), max_attempts=2, reason="the run ended as crashed")
    assert second.number == 2
    first, last = actions.of_job(database, job_id)
    assert (first.kind, first.attempt, first.silent_seconds) == (actions.REQUEUED, 1, 47.5)
    assert first.reason == "its host is gone; host/cuda:0 released"
    assert first.run_id == gone.run_id
    assert (last.kind, last.attempt, last.reason) == (actions.GIVEN_UP, 2, "the run ended as crashed")


def test_what_else_is_settled(database: Database):
    account_id = new_account(database)
    cancelled, lost, forgotten, late, told_to_end = (submitted(database, account_id) for _ in range(5))
    for job_id in (cancelled, lost, late):
        dispatched(database, job_id)
    at_work(database, told_to_end).give_back()
    dispatching.run_cancelled(database, seen(database, cancelled))
    dispatching.run_lost(database, seen(database, lost))
    dispatching.take_back(database, late, job_row(database, late).run_id)
    with database.write() as session:
        for entry in outbox(database, "start"):
            if entry.job_id == forgotten:
                session.delete(session.get(Outbox, entry.id))
    assert dispatching.ensure_started(database) == 1
    found = {job_id: kind for job_id, _, kind, _ in told(database)}
    assert found == {
        cancelled: actions.CANCELLED,
        lost: actions.LOST,
        late: actions.MOVED_UP,
        forgotten: actions.ASKED_AGAIN,
        told_to_end: actions.GIVEN_BACK,
    }


def test_the_log_is_bounded(database: Database):
    with database.write() as session:
        session.add_all(Action(job_id=uuid4(), attempt=n, kind="requeued", reason="x") for n in range(8))
    with database.write() as session:
        session.execute(update(Action).where(col(Action.attempt) < 3).values(done_at=now() - 2 * WEEK))
    assert len(told(database)) == 5
    assert actions.forget_old(database, older_than=WEEK, dry_run=True) == 3
    assert actions.forget_old(database, older_than=WEEK) == 3
    assert actions.forget_old(database, older_than=WEEK, most=2) == 3
    assert [attempt for _, attempt, _, _ in told(database)] == [7, 6]
    assert actions.forget_old(database, older_than=WEEK, most=2) == 0
