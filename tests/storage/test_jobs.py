"""What clients do to jobs: atomic, each from the right states only, and nothing lost between two who write at once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from storage import dispatching, jobs
from storage.database import Database
from storage.jobs import IdempotencyConflict, JobMissing, Submission, WrongState
from storage.tables import DELETE, FAILED, FINISHED, LOST, QUEUED, RUNNING, START, STOP, Job
from tests.support.databases import (
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


def brought_to(database: Database, account_id: UUID, state: str) -> UUID:
    """A new job in this state, by the ways that lead there."""
    job_id = submitted(database, account_id)
    if state == LOST:
        dispatched(database, job_id)
        dispatching.run_lost(database, seen(database, job_id))
    elif state != QUEUED:
        attempt = at_work(database, job_id)
        if state == FINISHED:
            attempt.finish(files=FILES, quality={}, scale=None)
        elif state == FAILED:
            attempt.fail(error_code="no_frames", error_message="No frames.")
    assert job_row(database, job_id).state == state
    return job_id


def test_a_submit_is_durable_together_with_the_wish_to_start_it(database: Database):
    job_id = submitted(database, new_account(database))
    (entry,) = outbox(database)
    assert (entry.kind, entry.job_id, entry.attempt) == (START, job_id, 1)


def test_a_submit_that_fails_half_way_leaves_nothing(database: Database):
    account_id = new_account(database)

    def fails(job: Job) -> dict[str, object]:
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        jobs.submit(database, new_job(account_id), fails, Submission(key="k", body_sha256="b"))
    assert (counts(database)["job"], counts(database)["outbox"], counts(database)["idempotentsubmit"]) == (0, 0, 0)


def test_eight_submits_at_once_with_one_idempotency_key_are_one_job(database: Database):
    account_id, barrier = new_account(database), threading.Barrier(8)

    def submit(_: int) -> tuple[dict[str, str], bool]:
        barrier.wait()
        return jobs.submit(
            database, new_job(account_id), lambda job: {"job_id": str(job.id)}, Submission(key="k", body_sha256="b")
        )

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(submit, range(8)))
    assert len({answer["job_id"] for answer, _ in answers}) == 1
    assert [new for _, new in answers].count(True) == 1
    assert (counts(database)["job"], counts(database)["outbox"]) == (1, 1)


def test_the_first_answer_is_kept_by_account_and_another_body_is_refused(database: Database):
    mine, other = new_account(database), new_account(database)
    one = Submission(key="k", body_sha256="b")
    answer, _ = jobs.submit(database, new_job(mine), lambda job: {"n": 1}, one)
    assert jobs.known_answer(database, mine, one) == answer == {"n": 1}
    assert jobs.submit(database, new_job(mine), lambda job: {"n": 2}, one) == ({"n": 1}, False)
    assert jobs.known_answer(database, other, one) is None
    assert jobs.submit(database, new_job(other), lambda job: {"n": 3}, one) == ({"n": 3}, True)
    for act in (
        lambda changed: jobs.known_answer(database, mine, changed),
        lambda changed: jobs.submit(database, new_job(mine), lambda job: {}, changed),
    ):
        with pytest.raises(IdempotencyConflict):
            act(Submission(key="k", body_sha256="another"))


def test_a_deleted_jobs_answer_is_forgotten(database: Database):
    account_id = new_account(database)
    once = Submission(key="k", body_sha256="b")
    job = new_job(account_id)
    jobs.submit(database, job, lambda row: {}, once)
    jobs.remove(database, account_id, job.id)
    assert jobs.known_answer(database, account_id, once) is None


def test_without_an_idempotency_key_every_submit_is_a_job(database: Database):
    account_id = new_account(database)
    blob = new_job(account_id).blob_name
    assert submitted(database, account_id, blob_name=blob) != submitted(database, account_id, blob_name=blob)


def test_the_list_is_newest_first_filtered_and_counted(database: Database):
    mine, other = new_account(database), new_account(database)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ids = [
        submitted(database, mine, title=f"t{n}", public=n % 2 == 0, created_at=start + timedelta(seconds=n))
        for n in range(6)
    ]
    submitted(database, other)
    at_work(database, ids[0])
    jobs.remove(database, mine, ids[5])
    rows, total = jobs.listed(database, mine)
    assert ([row.id for row in rows], total) == (ids[4::-1], 5)
    assert rows[0].title == "t4"
    assert [row.id for row in jobs.listed(database, mine, limit=2, offset=1)[0]] == [ids[3], ids[2]]
    assert jobs.listed(database, mine, limit=2, offset=1)[1] == 5
    assert [row.id for row in jobs.listed(database, mine, states=[RUNNING])[0]] == [ids[0]]
    assert [row.id for row in jobs.listed(database, mine, public=True)[0]] == [ids[4], ids[2], ids[0]]
    assert jobs.listed(database, mine, public=False, states=[QUEUED], limit=10)[1] == 2
    assert jobs.listed(database, mine, offset=99) == ([], 5)
    assert jobs.listed(database, mine, states=[]) == ([], 0)


def test_jobs_of_the_same_moment_have_an_order(database: Database):
    account_id, moment = new_account(database), datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(5):
        submitted(database, account_id, created_at=moment)
    whole = [row.id for row in jobs.listed(database, account_id)[0]]
    pages = [row.id for n in range(5) for row in jobs.listed(database, account_id, limit=1, offset=n)[0]]
    assert pages == whole


@pytest.mark.parametrize("act", [jobs.get, jobs.cancel, jobs.retry, jobs.remove])
def test_other_accounts_and_deleted_jobs_are_missing(database: Database, act: Callable[..., object]):
    mine, other = new_account(database), new_account(database)
    job_id = submitted(database, mine)
    for account_id, wanted in ((other, job_id), (mine, uuid4())):
        with pytest.raises(JobMissing):
            act(database, account_id, wanted)
    jobs.remove(database, mine, job_id)
    with pytest.raises(JobMissing):
        act(database, mine, job_id)
    with pytest.raises(JobMissing):
        jobs.change(database, mine, job_id, {"title": "x"})
    assert jobs.revisions(database, [job_id]) == {}


def test_a_change_by_its_owner_and_progress_at_once_lose_nothing(database: Database):
    account_id = new_account(database)
    job_id = submitted(database, account_id)
    attempt, first = at_work(database, job_id), job_row(database, job_id)
    rounds = 25

    def progress() -> None:
        for n in range(1, rounds + 1):
            attempt.progress(n, rounds, n)
            attempt.warn([{"code": f"w{n}"}])

    def change() -> None:
        for n in range(1, rounds + 1):
            jobs.change(database, account_id, job_id, {"title": f"t{n}"})

    with ThreadPoolExecutor(2) as threads:
        for future in [threads.submit(progress), threads.submit(change)]:
            future.result()
    job = job_row(database, job_id)
    assert (job.title, job.percent, job.step_done) == (f"t{rounds}", rounds, rounds)
    assert len(job.warnings) == rounds
    assert job.lease_beat == first.lease_beat + rounds
    assert job.revision == first.revision + 3 * rounds


@pytest.mark.parametrize("state", [QUEUED, RUNNING])
def test_an_open_job_is_cancelled_at_once_and_its_run_stopped(database: Database, state: str):
    account_id = new_account(database)
    job_id = brought_to(database, account_id, state)
    run_id = job_row(database, job_id).run_id
    job = jobs.cancel(database, account_id, job_id)
    assert (job.state, job.error_code, job.lease_token) == (FAILED, jobs.CANCELLED, None)
    assert job.finished_at is not None
    assert outbox(database, START) == []
    assert [entry.run_id for entry in outbox(database, STOP)] == ([run_id] if run_id else [])


@pytest.mark.parametrize("state", [FAILED, LOST])
def test_a_job_that_ended_without_outputs_is_retried(database: Database, state: str):
    account_id = new_account(database)
    job_id = brought_to(database, account_id, state)
    job = jobs.retry(database, account_id, job_id)
    assert (job.state, job.attempt, job.run_id, job.crashes) == (QUEUED, 2, None, 0)
    assert (job.error_code, job.error_message, job.finished_at, job.percent) == (None, None, None, None)
    (entry,) = outbox(database, START)
    assert entry.attempt == 2
    at_work(database, job_id).finish(files=FILES, quality={}, scale=None)
    assert job_row(database, job_id).state == FINISHED


@pytest.mark.parametrize(
    ("act", "state"),
    [
        *((jobs.cancel, state) for state in (FINISHED, FAILED, LOST)),
        *((jobs.retry, state) for state in (QUEUED, RUNNING, FINISHED)),
    ],
)
def test_from_any_other_state_nothing_happens(database: Database, act: Callable[..., object], state: str):
    account_id = new_account(database)
    job_id = brought_to(database, account_id, state)
    before, entries = job_row(database, job_id).model_dump(), outbox(database)
    with pytest.raises(WrongState) as refused:
        act(database, account_id, job_id)
    assert refused.value.state == state
    assert job_row(database, job_id).model_dump() == before
    assert outbox(database) == entries


@pytest.mark.parametrize("state", [QUEUED, RUNNING, FINISHED, FAILED, LOST])
def test_a_job_in_any_state_is_removed_for_its_owner_at_once(database: Database, state: str):
    account_id = new_account(database)
    job_id = brought_to(database, account_id, state)
    jobs.remove(database, account_id, job_id)
    assert jobs.listed(database, account_id) == ([], 0)
    assert [(entry.kind, entry.job_id) for entry in outbox(database)] == [(DELETE, job_id)]
    assert job_row(database, job_id).lease_token is None


def test_of_eight_who_cancel_and_retry_at_once_each_change_happens_once(database: Database):
    account_id = new_account(database)
    job_id = brought_to(database, account_id, RUNNING)
    barrier = threading.Barrier(8)

    def race(act: Callable[..., Job]) -> bool:
        barrier.wait()
        try:
            act(database, account_id, job_id)
        except WrongState:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(race, [jobs.cancel] * 4 + [jobs.retry] * 4))
    cancelled, retried = sum(won[:4]), sum(won[4:])
    job = job_row(database, job_id)
    assert job.attempt == 1 + retried
    assert cancelled - retried == (1 if job.state == FAILED else 0)
    assert len(outbox(database, START)) == (1 if job.state == QUEUED else 0)


def test_every_visible_change_raises_the_revision(database: Database):
    account_id = new_account(database)
    job_id = submitted(database, account_id)
    known = [jobs.revisions(database, [job_id])[job_id]]

    def raised() -> bool:
        known.append(jobs.revisions(database, [job_id])[job_id])
        return known[-1] > known[-2]

    jobs.change(database, account_id, job_id, {"public": True})
    assert raised()
    dispatching.set_positions(database, {job_id: 3})
    assert raised()
    attempt = at_work(database, job_id)
    assert raised()
    for write in (
        lambda: attempt.begin_step("train"),
        lambda: attempt.progress(1, 2, 50),
        lambda: attempt.preview("jobs/x/previews/1/1.jpg"),
        lambda: attempt.camera({"position": {}}),
        lambda: attempt.warn([{"code": "x"}]),
        lambda: attempt.end_step("train", 1.0, made=True),
        lambda: attempt.give_back(),
        lambda: jobs.cancel(database, account_id, job_id),
        lambda: jobs.retry(database, account_id, job_id),
    ):
        write()
        assert raised()
