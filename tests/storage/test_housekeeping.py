"""What housekeeping may remove: only what is past its time and needed by nobody."""

from datetime import timedelta
from uuid import uuid4

from sqlalchemy import update
from sqlmodel import col

from storage import claims, housekeeping, jobs, uploads
from storage.database import Database
from storage.jobs import Submission
from storage.tables import IdempotentSubmit, Job, Upload, now
from tests.support.databases import FILES, at_work, counts, new_account, new_job, submitted

HOUR = timedelta(hours=1)


def upload_that_expired(database: Database, account_id, ago: timedelta) -> str:
    name = uploads.create(database, account_id, "mp4", seconds=60).blob_name
    with database.write() as session:
        session.execute(update(Upload).where(col(Upload.blob_name) == name).values(expires_at=now() - ago))
    return name


def submitted_upload(database: Database, account_id) -> str:
    name = upload_that_expired(database, account_id, 2 * HOUR)
    submitted(database, account_id, blob_name=name)
    return name


def test_only_uploads_that_no_job_reads_expire_and_after_a_grace(database: Database):
    account_id = new_account(database)
    old = upload_that_expired(database, account_id, 2 * HOUR)
    upload_that_expired(database, account_id, HOUR / 2)
    submitted_upload(database, account_id)
    uploads.create(database, account_id, "mp4", seconds=60)
    assert housekeeping.expired_uploads(database, grace=HOUR) == [old]
    read = submitted_upload(database, account_id)
    assert housekeeping.forget_uploads(database, [old, read], grace=HOUR) == [old], "a job reads it by now"
    assert housekeeping.forget_uploads(database, [old], grace=HOUR) == []
    assert counts(database)["upload"] == 4


def test_known_uploads_and_existing_jobs_in_many_batches(database: Database):
    account_id = new_account(database)
    known = uploads.create(database, account_id, "mp4", seconds=60).blob_name
    strangers = [f"videos/{n}.mp4" for n in range(2 * claims.BATCH)]
    assert claims.known_uploads(database, [*strangers, known]) == {known}
    assert claims.known_uploads(database, []) == set()
    kept, deleted = submitted(database, account_id), submitted(database, account_id)
    jobs.remove(database, account_id, deleted)
    wanted = [uuid4() for _ in range(2 * housekeeping.BATCH)] + [kept, deleted]
    assert housekeeping.existing_jobs(database, wanted) == {kept, deleted}
    assert housekeeping.existing_jobs(database, []) == set()


def test_work_is_needed_by_open_jobs_and_by_those_that_ended_lately(database: Database):
    account_id = new_account(database)
    waiting, working, lately, long_ago, deleted = (submitted(database, account_id) for _ in range(5))
    at_work(database, working)
    for job_id in (lately, long_ago):
        at_work(database, job_id).finish(files=FILES, quality={}, scale=None)
    with database.write() as session:
        session.execute(update(Job).where(col(Job.id) == long_ago).values(finished_at=now() - 2 * HOUR))
    jobs.remove(database, account_id, deleted)
    everyone = [waiting, working, lately, long_ago, deleted, uuid4()]
    assert housekeeping.jobs_in_need(database, everyone, ended_within=HOUR) == {waiting, working, lately}


def test_answers_are_forgotten_when_they_are_old(database: Database):
    account_id = new_account(database)
    for key in ("old", "new"):
        jobs.submit(database, new_job(account_id), lambda job: {}, Submission(key=key, body_sha256="b"))
    with database.write() as session:
        session.execute(
            update(IdempotentSubmit).where(col(IdempotentSubmit.key) == "old").values(created_at=now() - 2 * HOUR)
        )
    assert housekeeping.forget_answers(database, older_than=HOUR, dry_run=True) == 1
    assert housekeeping.forget_answers(database, older_than=HOUR) == 1
    assert jobs.known_answer(database, account_id, Submission(key="new", body_sha256="b")) == {}
    assert jobs.known_answer(database, account_id, Submission(key="old", body_sha256="b")) is None
