"""Garbage goes, what anybody needs or can come to need stays, whoever acts meanwhile; on both sorts of deployment."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update
from sqlmodel import col

from storage import garbage, jobs, ledger, naming, shadows, uploads
from storage.jobs import Submission
from storage.objects import ObjectMissing
from storage.removed import Removed
from storage.tables import BATCH, FAILED, QUEUED, TIDY, Job, Outbox, Upload, now
from tests.storage.kept import Kept
from tests.support.databases import at_work, counts, job_row, new_job, outbox

OLD = timedelta(seconds=-5)  # every object is older than that
HOUR = timedelta(hours=1)


def clear(service: Kept, *, min_age: timedelta = OLD, dry_run: bool = False, meanwhile=lambda _: None):
    """One round; returns (uploads, objects of no job, leftovers) as {class: (objects, bytes)}."""
    arguments = {"min_age": min_age, "dry_run": dry_run}
    done = (
        garbage.uploads(service.database, service.objects, grace=HOUR, **arguments),
        *garbage.of_jobs(service.database, service.objects, pause=meanwhile, **arguments),
    )
    return tuple({one.kind: (one.objects, one.bytes) for one in part} for part in done)


def expire(service: Kept, name: str, ago: timedelta = 2 * HOUR) -> str:
    with service.database.write() as session:
        session.execute(update(Upload).where(col(Upload.blob_name) == name).values(expires_at=now() - ago))
    return name


def change(service: Kept, job_id: UUID, **values) -> None:
    with service.database.write() as session:
        session.execute(update(Job).where(col(Job.id) == job_id).values(**values))


def test_a_round_leaves_what_rows_say_and_a_dry_one_leaves_all(service: Kept):
    finished, _ = service.finished()
    working, failed = service.job(), service.job()
    service.begun(working)
    service.begun(failed)
    at_work(service.database, working)
    at_work(service.database, failed).fail(error_code="x", error_message="y")
    expire(service, job_row(service.database, finished).blob_name)
    expire(service, service.upload(), ago=HOUR / 2)
    keep = service.keys() | {service.put("jobs/not-an-id/x", 1), service.put("notes.txt", 1)}
    stranger = uuid4()
    expire(service, service.upload(40))
    expire(service, uploads.create(service.database, service.account_id, "mp4", seconds=1).blob_name)  # never came
    service.put(f"videos/{uuid4()}.mp4", 60)
    service.put(naming.source_key(stranger, "mp4"), 200)
    service.put(naming.step_key(stranger, "sfm", "d"), 300)
    service.put(naming.output_key(finished, 2, "late.ply"), 1000)
    service.put(naming.preview_key(finished, 1, 7), 2000)
    service.put(naming.checkpoint_key(finished, "d", 1, 2, "0" * 64), 4000)
    everything, before = service.keys(), service.by_hand()
    expected = (
        {"uploads": (2, 100)},
        {"sources": (1, 200), "steps": (1, 300)},
        {"outputs": (1, 1000), "previews": (1, 2000), "checkpoints": (1, 4000)},
    )
    assert clear(service, min_age=HOUR) == ({}, {}, {}), "all is young"
    assert clear(service, dry_run=True) == expected
    assert service.keys() == everything
    assert counts(service.database)["upload"] == 5, "the row of what never came went first"
    assert clear(service) == expected
    assert service.keys() == keep
    assert before - service.by_hand() == 7600
    assert counts(service.database)["upload"] == 4
    assert clear(service) == ({}, {}, {})
    service.objects.delete(["jobs/not-an-id/x", "notes.txt"])
    found = ledger.read(service.database, service.objects)
    assert found.balanced
    assert found.stored == found.accounted == service.by_hand()


def test_a_submit_that_has_copied_and_not_yet_written_loses_nothing(service: Kept):
    job = new_job(service.account_id)
    service.put(job.source_key, 5)
    service.put(naming.source_key(uuid4(), "mp4"), 7)

    def meanwhile(seconds: float) -> None:
        assert seconds == garbage.SUBMIT_SECONDS
        jobs.submit(service.database, job, lambda row: {})

    assert clear(service, meanwhile=meanwhile) == ({}, {"sources": (1, 7)}, {})
    assert service.keys() == {job.source_key}


def test_an_upload_that_is_submitted_between_listing_and_removing(service: Kept, monkeypatch: pytest.MonkeyPatch):
    """By three submits: before the row goes, before the object goes, and after."""
    first, second, third = (expire(service, service.upload()) for _ in range(3))

    def submit(name: str) -> UUID:
        assert uploads.get(service.database, service.account_id, name) is not None, "no such upload"
        job = new_job(service.account_id, blob_name=name)
        service.objects.copy(name, job.source_key)
        jobs.submit(service.database, job, lambda row: {}, Submission(key=name, body_sha256="b"))
        return job.id

    forget, delete = garbage.housekeeping.forget_uploads, service.objects.delete
    made: list[UUID] = []

    def forget_later(*arguments, **options):
        made.append(submit(first))
        return forget(*arguments, **options)

    def delete_later(keys) -> None:
        with pytest.raises(AssertionError, match="no such upload"):
            submit(second)
        service.objects.copy(second, "jobs/x")  # it had asked for the row before
        delete(keys)

    monkeypatch.setattr(garbage.housekeeping, "forget_uploads", forget_later)
    monkeypatch.setattr(service.objects, "delete", delete_later)
    assert garbage.uploads(service.database, service.objects, min_age=OLD, grace=HOUR, dry_run=False) == [
        Removed(kind="uploads", objects=2, bytes=6)
    ]
    assert service.keys() == {first, naming.source_key(made[0], "mp4"), "jobs/x"}
    with pytest.raises(ObjectMissing):
        service.objects.copy(third, "jobs/y")


def test_what_a_try_stores_stays_and_so_does_what_links_may_lead_to(service: Kept):
    parent, there = service.finished()
    source = job_row(service.database, parent).source_key
    shadow = new_job(service.account_id, reprocess_of=parent, source_key=source, priority=BATCH, state=QUEUED)
    with service.database.write() as session:
        session.add(shadow)
    mark = naming.shadow_attempt(shadow.id, 1)
    stored = {
        service.put(naming.output_key(parent, mark, "scene.ply"), 10),
        service.put(naming.preview_key(parent, mark, 1), 20),
        service.put(naming.checkpoint_key(parent, "e", 1, 1, "0" * 64), 40),
    }
    assert clear(service) == ({}, {}, {})
    assert ledger.read(service.database, service.objects).balanced
    change(service, shadow.id, state=FAILED, finished_at=now())
    with service.database.write() as session:
        session.add(Outbox(kind=TIDY, job_id=parent, due_at=now() + HOUR))
    assert clear(service) == ({}, {}, {}), "the dispatcher removes it in an hour"
    assert shadows.tidy(service.database, service.objects, parent) == 3
    for key in stored:
        service.put(key, 1)
    with service.database.write() as session:
        session.delete(session.get(Outbox, _entry(service)))
    assert clear(service)[2] == {"outputs": (1, 1), "previews": (1, 1), "checkpoints": (1, 1)}
    assert set(there.values()) < service.keys()


def test_checkpoints_of_a_failed_job_stay_for_a_retry_on_the_same_day(service: Kept):
    job_id = service.job()
    there = service.begun(job_id)
    at_work(service.database, job_id).fail(error_code="x", error_message="y")
    assert clear(service) == ({}, {}, {})
    change(service, job_id, finished_at=now() - 25 * HOUR)
    assert clear(service) == ({}, {}, {"checkpoints": (1, 13)})
    service.put(there["checkpoint"], 13)
    jobs.retry(service.database, service.account_id, job_id)
    assert clear(service) == ({}, {}, {}), "it is at work again"


def _entry(service: Kept) -> int:
    (entry,) = outbox(service.database, TIDY)
    assert entry.id is not None
    return entry.id
