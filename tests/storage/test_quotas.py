"""Quotas: what counts, and that the last place is taken once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlmodel import col

from storage import accounts, jobs, quotas
from storage.database import Database
from storage.quotas import BYTES, HOURS, QUEUED, QuotaExceeded, RunningLimits
from storage.settings import Settings
from storage.tables import FAILED, FINISHED, Account, Job, now
from tests.support.databases import FILES, at_work, job_row, new_account, new_job, submitted

NONE = Settings()


def own(database: Database, account_id: UUID, **limits: int | None) -> None:
    with database.read() as session:
        name = session.get_one(Account, account_id).name
    accounts.set_quotas(database, name, limits)


def used(database: Database, account_id: UUID) -> dict[str, float]:
    return {name: quota.used for name, quota in quotas.standing(database, NONE, account_id).items()}


def submit(database: Database, account_id: UUID, settings: Settings, **values: object) -> bool:
    job = new_job(account_id, **values)
    wanted = {QUEUED: 1, BYTES: job.source_bytes, HOURS: 0}
    try:
        jobs.submit(
            database,
            job,
            lambda row: {},
            check=lambda session: quotas.check_in(session, settings, account_id, wanted),
        )
    except QuotaExceeded:
        return False
    return True


def test_only_so_many_of_many_at_once_get_the_last_places(database: Database):
    account, other = new_account(database), new_account(database)
    own(database, account, queued=3)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: submit(database, account, Settings(quota_queued=1)), range(12)))
    assert sum(done) == used(database, account)[QUEUED] == 3
    assert submit(database, other, Settings(quota_queued=1))
    assert not submit(database, other, Settings(quota_queued=1))
    own(database, other, queued=0)
    assert submit(database, other, Settings(quota_queued=1)), "an own 0 is no limit"
    own(database, other, queued=None)
    assert not submit(database, other, Settings(quota_queued=1)), "without an own one the settings' is in force"


def test_bytes_are_those_of_videos_and_files(database: Database):
    account = new_account(database)
    own(database, account, bytes=12)
    first = submitted(database, account, source_bytes=5)
    with database.write() as session:
        session.execute(update(Job).where(col(Job.id) == first).values(files=FILES))
    assert used(database, account)[BYTES] == 8
    submitted(database, account, source_bytes=100, reprocess_of=first)  # a try has its job's video
    with pytest.raises(QuotaExceeded, match=r"hold 8 bytes .* bytes is 12, too little for 5 more; delete jobs"):
        quotas.check(database, NONE, account, {BYTES: 5})
    assert submit(database, account, NONE, source_bytes=4)
    assert not submit(database, account, NONE, source_bytes=1)
    jobs.remove(database, account, first)
    assert used(database, account)[BYTES] == 4
    assert used(database, new_account(database)) == dict.fromkeys(quotas.NAMES, 0)


def test_hours_outlive_retries_and_deletions(database: Database):
    account = new_account(database)
    failed = submitted(database, account)
    at_work(database, failed)
    begin = max(now() - timedelta(hours=2), quotas.month_of(now()))
    with database.write() as session:
        session.execute(
            update(Job).where(col(Job.id) == failed).values(state=FAILED, started_at=begin, finished_at=now())
        )
    spent = used(database, account)[HOURS]
    assert spent == pytest.approx(min(2.0, (now() - begin).total_seconds() / 3600), abs=0.01)
    jobs.retry(database, account, failed)
    assert used(database, account)[HOURS] == pytest.approx(spent, abs=0.01)
    with database.write() as session:
        session.execute(
            update(Job).where(col(Job.id) == failed).values(state=FINISHED, started_at=begin, finished_at=now())
        )
    jobs.remove(database, account, failed)
    assert used(database, account)[HOURS] == pytest.approx(2 * spent, abs=0.01)
    with database.write() as session:  # what was spent in another month counts no more
        session.execute(
            update(Account).where(col(Account.id) == account).values(spent_seconds={"2001-01": 1e6, "x": 1.0})
        )
    assert used(database, account)[HOURS] == 0
    with database.write() as session:
        quotas.spend_in(session, account, now() - timedelta(seconds=7200), None)
        session.flush()
        assert len(session.get_one(Account, account).spent_seconds) == 1
    own(database, account, hours=1)
    if spent >= 1:  # not within an hour after the month's begin
        with pytest.raises(QuotaExceeded, match=r"hours is 1; come again after 2\d{3}-\d\d-01T00:00:00Z"):
            quotas.check(database, NONE, account, {QUEUED: 1, HOURS: 0})


def test_who_has_a_limit_of_jobs_at_work_is_known_with_one_query_for_all(sqlite_database: Database):
    clock = [0.0]
    limited, free = new_account(sqlite_database), new_account(sqlite_database)
    own(sqlite_database, limited, running=2, queued=7)
    limits = RunningLimits(sqlite_database, 4, lambda: clock[0])
    assert (limits(limited), limits(free)) == (2, 4)
    own(sqlite_database, free, running=0)
    assert limits(free) == 4
    clock[0] += quotas.FRESH_SECONDS + 1
    assert (limits(limited), limits(free)) == (2, None)
    assert RunningLimits(sqlite_database, 0)(new_account(sqlite_database)) is None


def test_tries_at_work_count_and_waiting_ones_do_not(sqlite_database: Database):
    account = new_account(sqlite_database)
    job_id = submitted(sqlite_database, account)
    at_work(sqlite_database, submitted(sqlite_database, account, reprocess_of=job_id))
    submitted(sqlite_database, account, reprocess_of=job_id)
    found = used(sqlite_database, account)
    assert (found["running"], found["queued"]) == (1, 1)
    assert job_row(sqlite_database, job_id).state == "queued"
