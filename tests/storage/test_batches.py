"""Batches in rows: what is begun when, what a try leaves to its job, and what stays whole whatever happens."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from storage import batch_spec, batch_work, batches, job_rows, jobs, naming, shadows
from storage.attempts import Attempt, AttemptLost
from storage.database import Database
from storage.jobs import JobMissing, Submission, WrongState
from storage.local import LocalStore
from storage.tables import DELETE, TIDY, Batch, BatchItem, Job, now
from tests.support.databases import at_work, job_row, new_account, outbox, submitted

QUALITY = {"psnr_db": 20.0, "frames_registered": 8, "posed_by": "a" * 16, "evaluated_by": "b" * 16}
NIGHT = {"hours": "22:00-06:00", "time_zone": "Europe/Berlin"}


@pytest.fixture
def objects(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "objects", b"a secret of the tests, long enough")


def end(attempt: Attempt, objects: LocalStore, **quality: Any) -> None:
    """Ends an attempt with a file and a preview, named as a run does it."""
    job = attempt.job()
    owner = job.reprocess_of or job.id
    name = attempt.number if job.reprocess_of is None else naming.shadow_attempt(job.id, attempt.number)
    key, preview = naming.output_key(owner, name, "scene.ply"), naming.preview_key(owner, name, 1)
    objects.put_bytes(key, str(job.training_num_steps).encode())
    objects.put_bytes(preview, b"jpg")
    attempt.preview(preview)
    attempt.finish(
        files={"ply": {"key": key, "bytes": 3, "sha256": "0" * 64}}, quality={**QUALITY, **quality}, scale=None
    )


def finished(database: Database, objects: LocalStore, account_id: UUID, **values: Any) -> UUID:
    job_id = submitted(database, account_id, **{"training_num_steps": 100, **values})
    objects.put_bytes(job_row(database, job_id).source_key, b"video")
    end(at_work(database, job_id), objects)
    return job_id


def spec(**values: Any) -> dict[str, Any]:
    return batch_spec.BatchSpec.model_validate({"jobs": {}, "set": {"training_num_steps": 200}, **values}).row()


def made(database: Database, account_id: UUID | None, **values: Any) -> UUID:
    batch = Batch(account_id=account_id, spec=spec(**values))
    _, is_new = batches.create(database, batch, lambda batch, counts: {"id": str(batch.id), "counts": counts})
    assert is_new
    return batch.id


def item(database: Database, batch_id: UUID, job_id: UUID) -> BatchItem:
    with database.read() as session:
        found = session.get(BatchItem, (batch_id, job_id))
    assert found is not None
    return found


def shadow_of(database: Database, batch_id: UUID, job_id: UUID) -> Attempt:
    """The try of an item, at work."""
    shadow_id = item(database, batch_id, job_id).shadow_id
    assert shadow_id is not None
    return at_work(database, shadow_id)


def file_of(database: Database, objects: LocalStore, job_id: UUID) -> bytes:
    return objects.get_bytes(job_row(database, job_id).files["ply"]["key"])


def test_a_better_result_takes_the_place_of_the_old_one(database: Database, objects: LocalStore):
    account_id = new_account(database)
    job_id = finished(database, objects, account_id)
    jobs.change(database, account_id, job_id, {"camera_set": {"position": {}}})
    before = job_row(database, job_id)
    batch_id = made(database, account_id)
    assert batch_work.advance(database, objects, batch_id).counts["running"] == 1
    told = job_row(database, job_id)
    assert told.reprocessing == {"batch_id": str(batch_id), "state": "queued", "percent": None, "started_at": None}
    assert (told.state, told.files, told.revision) == ("finished", before.files, before.revision + 1)

    attempt = shadow_of(database, batch_id, job_id)
    shadow = attempt.job()
    assert (shadow.priority, shadow.training_num_steps, shadow.source_key) == ("batch", 200, before.source_key)
    attempt.begin_step("train")
    attempt.progress(1, 2, 50)
    batch_work.settle(database)
    assert (job_row(database, job_id).reprocessing or {})["percent"] == 50
    _hidden_from_clients(database, account_id, attempt.job_id)

    end(attempt, objects, psnr_db=20.0)
    after = job_row(database, job_id)
    assert (after.state, after.reprocessing, after.training_num_steps) == ("finished", None, 200)
    assert file_of(database, objects, job_id) == b"200"
    assert after.camera_set == {"position": {}}, "the cameras are the same"
    done = item(database, batch_id, job_id)
    assert (done.state, done.reason) == ("replaced", "The held-out PSNR was 20.00 dB and is 20.00 dB.")
    assert ((done.before or {})["options"]["training_num_steps"], (done.after or {})["psnr_db"]) == (100, 20.0)
    assert batch_work.advance(database, objects, batch_id).state == "finished"

    # The old files go later, and nothing else does.
    (entry,) = outbox(database, TIDY)
    assert entry.job_id == job_id
    assert timedelta(minutes=14) < entry.due_at - now() <= shadows.LINKS_LIVE
    assert objects.stat(before.files["ply"]["key"]) is not None
    assert shadows.tidy(database, objects, job_id) == 2
    assert objects.stat(before.files["ply"]["key"]) is None
    assert file_of(database, objects, job_id) == b"200"
    assert shadows.tidy(database, objects, job_id) == 0


def _hidden_from_clients(database: Database, account_id: UUID, shadow_id: UUID) -> None:
    assert shadow_id not in [row.id for row in jobs.listed(database, account_id)[0]]
    assert job_rows.row_of_any(database, shadow_id) is None
    for act in (jobs.get, jobs.cancel, jobs.retry, jobs.remove, job_rows.row):
        with pytest.raises(JobMissing):
            act(database, account_id, shadow_id)


@pytest.mark.parametrize(
    ("quality", "rule", "state"),
    [
        ({"psnr_db": 19.9}, {}, "kept"),
        ({"psnr_db": 20.4}, {"epsilon_db": 0.5}, "kept"),
        ({"psnr_db": 30.0, "frames_registered": 7}, {}, "kept"),
        ({"psnr_db": 30.0}, {"rule": "never"}, "kept"),
        ({"psnr_db": 10.0}, {"rule": "always"}, "replaced"),
    ],
)
def test_the_rule_decides(
    sqlite_database: Database, objects: LocalStore, quality: dict[str, Any], rule: dict[str, Any], state: str
):
    account_id = new_account(sqlite_database)
    job_id = finished(sqlite_database, objects, account_id)
    before = job_row(sqlite_database, job_id)
    batch_id = made(sqlite_database, account_id, **rule)
    batch_work.advance(sqlite_database, objects, batch_id)
    end(shadow_of(sqlite_database, batch_id, job_id), objects, **quality)
    after = job_row(sqlite_database, job_id)
    assert (item(sqlite_database, batch_id, job_id).state, after.reprocessing) == (state, None)
    if state == "kept":
        unchanged = {"revision", "reprocessing"}
        assert after.model_dump(exclude=unchanged) == before.model_dump(exclude=unchanged)
    shadows.tidy(sqlite_database, objects, job_id)
    kept = after.files["ply"]["key"]
    assert list(objects.keys(f"{naming.job_prefix(job_id)}outputs/")) == [kept]


def test_so_many_at_once_by_night_and_a_second_run_does_nothing(database: Database, objects: LocalStore):
    account_id = new_account(database)
    ids = [finished(database, objects, account_id) for _ in range(3)]
    batch_id = made(database, account_id, at_once=2, **NIGHT)
    noon, night = datetime(2026, 1, 5, 12, tzinfo=UTC), datetime(2026, 1, 5, 21, 30, tzinfo=UTC)
    seen = batch_work.advance(database, objects, batch_id, moment=noon)
    assert (seen.counts["waiting"], seen.opens_at) == (3, datetime(2026, 1, 5, 21, tzinfo=UTC))
    for _ in range(3):
        counts = batch_work.advance(database, objects, batch_id, moment=night).counts
        assert (counts["running"], counts["waiting"]) == (2, 1)
    end(shadow_of(database, batch_id, ids[0]), objects)
    assert batch_work.advance(database, objects, batch_id, moment=noon).counts["running"] == 1
    batch_work.advance(database, objects, batch_id, moment=night)
    for job_id in ids[1:]:
        end(shadow_of(database, batch_id, job_id), objects, psnr_db=21.0)
    assert batch_work.advance(database, objects, batch_id, moment=noon).state == "finished"

    before = [job_row(database, job_id).model_dump() for job_id in ids]
    assert batch_work.advance(database, objects, batch_id, moment=night).counts["replaced"] == 3
    again = made(database, account_id, at_once=3)  # the same wishes once more: nothing is left of them
    assert batch_work.advance(database, objects, again).counts["skipped"] == 3
    assert [job_row(database, job_id).model_dump() for job_id in ids] == before


def test_a_job_is_tried_by_one_batch_at_a_time(database: Database, objects: LocalStore):
    account_id = new_account(database)
    job_id = finished(database, objects, account_id)
    first, second = made(database, account_id), made(database, account_id, set={"training_num_steps": 300})
    batch_work.advance(database, objects, first)
    assert batch_work.advance(database, objects, second).counts["waiting"] == 1
    end(shadow_of(database, first, job_id), objects)
    first_try = item(database, first, job_id).shadow_id
    assert batch_work.advance(database, objects, second).counts["running"] == 1
    assert [entry.job_id for entry in outbox(database, DELETE)] == [first_try], "there is one try at most"


def test_a_try_that_fails_leaves_the_job_as_it_was(database: Database, objects: LocalStore):
    account_id = new_account(database)
    job_id = finished(database, objects, account_id)
    before = job_row(database, job_id)
    batch_id = made(database, account_id)
    batch_work.advance(database, objects, batch_id)
    attempt = shadow_of(database, batch_id, job_id)
    attempt.fail(error_code="no_parallax", error_message="The camera only turned.")
    assert batch_work.settle(database) == 1
    assert batch_work.settle(database) == 0
    assert (item(database, batch_id, job_id).state, item(database, batch_id, job_id).reason) == (
        "failed",
        "The camera only turned.",
    )
    after = job_row(database, job_id)
    assert (after.reprocessing, after.files, after.state) == (None, before.files, "finished")
    assert batch_work.advance(database, objects, batch_id).state == "finished"


def test_a_cancelled_batch_stops_what_it_has_at_work(database: Database, objects: LocalStore):
    account_id = new_account(database)
    ids = [finished(database, objects, account_id) for _ in range(2)]
    batch_id = made(database, account_id)
    batch_work.advance(database, objects, batch_id)
    attempt = shadow_of(database, batch_id, ids[0])
    with pytest.raises(batches.BatchMissing):
        batches.cancel(database, batch_id, new_account(database))
    batches.cancel(database, batch_id, account_id)
    batch_work.settle(database)
    with pytest.raises(AttemptLost):
        attempt.beat()
    assert [item(database, batch_id, job_id).state for job_id in ids] == ["skipped", "skipped"]
    assert job_row(database, ids[0]).reprocessing is None
    assert batch_work.advance(database, objects, batch_id).state == "cancelled"
    with pytest.raises(WrongState):
        batches.cancel(database, batch_id)


def test_deleting_a_job_deletes_its_try(database: Database, objects: LocalStore):
    account_id = new_account(database)
    job_id = finished(database, objects, account_id)
    batch_id = made(database, account_id)
    batch_work.advance(database, objects, batch_id)
    attempt = shadow_of(database, batch_id, job_id)
    jobs.remove(database, account_id, job_id)
    with pytest.raises(AttemptLost):
        attempt.beat()
    assert attempt.now() is None
    assert {entry.job_id for entry in outbox(database, DELETE)} == {job_id, attempt.job_id}
    assert batch_work.advance(database, objects, batch_id).state == "finished"
    assert (item(database, batch_id, job_id).state, item(database, batch_id, job_id).reason) == (
        "skipped",
        "The job was deleted.",
    )


def test_what_is_at_work_is_not_tidied(database: Database, objects: LocalStore):
    account_id = new_account(database)
    job_id = finished(database, objects, account_id)
    batch_id = made(database, account_id)
    batch_work.advance(database, objects, batch_id)
    attempt = shadow_of(database, batch_id, job_id)
    own = naming.output_key(job_id, naming.shadow_attempt(attempt.job_id, 1), "scene.ply")
    checkpoint = naming.checkpoint_key(job_id, "d", 1, 1, "0" * 64)
    stray = [naming.output_key(job_id, 7, "late.ply"), naming.output_key(job_id, "rffff-1", "late.ply")]
    for key in (own, checkpoint, *stray):
        objects.put_bytes(key, b"x")
    assert shadows.tidy(database, objects, job_id) == 2
    assert all(objects.stat(key) is None for key in stray)
    attempt.fail(error_code="internal", error_message="A defect.")
    assert shadows.tidy(database, objects, job_id) == 2
    assert file_of(database, objects, job_id) == b"100"
    waiting = submitted(database, account_id)
    objects.put_bytes(naming.output_key(waiting, 1, "scene.ply"), b"x")
    assert shadows.tidy(database, objects, waiting) == 0, "its run may be about to end"


def test_jobs_that_can_not_be_made_again_are_skipped_with_the_reason(sqlite_database: Database, objects: LocalStore):
    database, account_id = sqlite_database, new_account(sqlite_database)
    expired, gone, kept_frames, running = (finished(database, objects, account_id) for _ in range(4))
    for job_id in (gone, kept_frames):
        objects.delete([job_row(database, job_id).source_key])
    objects.put_bytes(naming.step_key(kept_frames, "extract", "d"), b"tar")
    batch_id = made(database, account_id, at_once=9)
    with database.write() as session:
        for job_id, values in ((expired, {"expired_at": now()}), (running, {"state": "running"})):
            job = session.get(Job, job_id)
            assert job is not None
            for name, value in values.items():
                setattr(job, name, value)
            session.add(job)
    assert batch_work.advance(database, objects, batch_id).counts["running"] == 1
    assert item(database, batch_id, kept_frames).state == "running"
    assert "expired" in (item(database, batch_id, expired).reason or "")
    assert item(database, batch_id, gone).reason == "Its upload and the frames of it are no longer kept."
    assert item(database, batch_id, running).reason == "The job is running now."


def test_a_failed_job_gets_its_first_result(sqlite_database: Database, objects: LocalStore):
    database, account_id = sqlite_database, new_account(sqlite_database)
    job_id = submitted(database, account_id)
    objects.put_bytes(job_row(database, job_id).source_key, b"video")
    at_work(database, job_id).fail(error_code="out_of_memory", error_message="Too large.")
    batch_id = made(database, account_id, jobs={"status": "failed"})
    batch_work.advance(database, objects, batch_id)
    end(shadow_of(database, batch_id, job_id), objects)
    job = job_row(database, job_id)
    assert (job.state, job.percent, job.error_code) == ("finished", 100, None)
    assert item(database, batch_id, job_id).reason == "There was no result before."


def test_other_cameras_reset_the_camera_that_was_set(sqlite_database: Database, objects: LocalStore):
    database, account_id = sqlite_database, new_account(sqlite_database)
    job_id = finished(database, objects, account_id)
    jobs.change(database, account_id, job_id, {"camera_set": {"position": {}}})
    batch_id = made(database, account_id)
    batch_work.advance(database, objects, batch_id)
    end(shadow_of(database, batch_id, job_id), objects, posed_by="c" * 16)
    job = job_row(database, job_id)
    assert (job.camera_set, [warning["code"] for warning in job.warnings]) == (None, ["camera_reset"])


def test_which_jobs_a_batch_takes(sqlite_database: Database, objects: LocalStore):
    database, ann, bob = sqlite_database, new_account(sqlite_database), new_account(sqlite_database)
    kitchen = finished(database, objects, ann, title="kitchen 1")
    old = finished(database, objects, ann, title="hall", created_at=now() - timedelta(days=40))
    theirs = finished(database, objects, bob, title="kitchen 2")
    submitted(database, ann, title="kitchen 3")

    def chosen(account_id: UUID | None, **jobs: Any) -> set[UUID]:
        return {row.id for row in batches.selected(database, account_id, spec(jobs=jobs))}

    assert chosen(ann) == {kitchen, old}
    assert chosen(None) == {kitchen, old, theirs}
    assert chosen(ann, title="kitchen*") == {kitchen}
    assert chosen(ann, title="Kitchen*") == set()
    assert chosen(ann, older_than_days=30) == {old}
    assert chosen(ann, job_ids=[str(kitchen), str(theirs), str(uuid4())]) == {kitchen}
    assert chosen(ann, pipeline=["0" * 16]) == set()
    assert chosen(ann, not_pipeline=["0" * 16]) == {kitchen, old}


def test_the_same_request_makes_one_batch(database: Database, objects: LocalStore):
    account_id = new_account(database)
    finished(database, objects, account_id)
    key, other = Submission(key="k", body_sha256="a"), Submission(key="k", body_sha256="b")

    def create(submission: Submission) -> tuple[dict[str, Any], bool]:
        batch = Batch(account_id=account_id, spec=spec())
        return batches.create(database, batch, lambda batch, counts: {"id": str(batch.id)}, submission)

    first, is_new = create(key)
    assert is_new
    assert create(key) == (first, False)
    with pytest.raises(jobs.IdempotencyConflict):
        create(other)
    assert batches.listed(database, account_id, limit=10, offset=0)[1] == 1
    # The run of a batch makes it under an id of its own; a second look makes no second one.
    batch = Batch(spec=spec())
    for expected in (True, False):
        again = Batch(id=batch.id, spec=spec())
        assert batches.create(database, again, lambda batch, counts: {})[1] is expected
