"""What is past its time goes, in any order of crashes, and nothing else does."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, update
from sqlmodel import col

from api.dispatch.batches import tidy_due
from storage import jobs, naming, retention
from storage.database import Database
from storage.objects import ObjectStore, StoreUnavailable
from storage.removed import Removed
from storage.settings import Settings
from storage.tables import FAILED, FINISHED, Job, Outbox, now
from tests.support.databases import at_work, job_row, new_account, submitted

KEEP = Settings(keep_uploads_days=3, keep_steps_days=2, keep_outputs_days=10, keep_failed_days=5)
ALL = {"source.mp4": 1, "steps/sfm/d.tar": 2, "checkpoints/d/1-1-a.pt": 4, "results/sfm": 8}
ALL |= {"outputs/1/scene.ply": 16, "previews/1/1.jpg": 32}
INTERMEDIATE = ("steps", "checkpoints", "results")


def ended(database: Database, store: ObjectStore, state: str, days: float, **values: object) -> UUID:
    """A job that ended so many days ago, with one object of each class."""
    job_id = submitted(database, new_account(database))
    job = job_row(database, job_id)
    store.put_bytes(job.blob_name, b"x" * 64)
    for name, size in ALL.items():
        store.put_bytes(f"jobs/{job_id}/{name}", b"x" * size)
    if state == FINISHED:
        key = naming.output_key(job_id, 1, "scene.ply")
        values = {"files": {"ply": {"key": key, "bytes": 16, "sha256": "0" * 64}}, **values}
    values["preview_key"] = naming.preview_key(job_id, 1, 1)
    with database.write() as session:
        session.execute(delete(Outbox).where(col(Outbox.job_id) == job_id))
    set_row(database, job_id, state=state, finished_at=now() - timedelta(days=days), run_id=uuid4(), **values)
    return job_id


def set_row(database: Database, job_id: UUID, **values: object) -> None:
    with database.write() as session:
        session.execute(update(Job).where(col(Job.id) == job_id).values(**values))


def left(store: ObjectStore, job_id: UUID) -> set[str]:
    """The classes of objects that a job has, and "upload"."""
    names = {key.split("/")[2].partition(".")[0] for key in store.keys(naming.job_prefix(job_id))}
    return names | ({"upload"} if any(store.keys("videos/")) else set())


def round_of(database: Database, store: ObjectStore, settings: Settings = KEEP, *, dry_run: bool = False):
    found = retention.apply(database, store, settings, now=now(), dry_run=dry_run)
    return {one.kind: (one.objects, one.bytes) for one in found}


def links_end(database: Database) -> None:
    with database.write() as session:
        session.execute(update(Outbox).where(col(Outbox.kind) == "tidy").values(due_at=now()))


def test_a_finished_job_loses_class_after_class_and_stays_finished(database: Database, store: ObjectStore):
    young = ended(database, store, FINISHED, 1)
    assert round_of(database, store) == {}
    assert left(store, young) == {"source", *INTERMEDIATE, "outputs", "previews", "upload"}
    set_row(database, young, finished_at=now() - timedelta(days=2.1))
    intermediates = {"steps": (1, 2), "checkpoints": (1, 4), "other": (1, 8)}
    assert round_of(database, store, dry_run=True) == intermediates
    assert "steps" in left(store, young), "a dry run removes nothing"
    assert round_of(database, store) == intermediates
    assert left(store, young) == {"source", "outputs", "previews", "upload"}
    set_row(database, young, finished_at=now() - timedelta(days=3.1))
    assert round_of(database, store) == {"uploads": (1, 64), "sources": (1, 1)}
    row = job_row(database, young)
    assert row.source_bytes == 0
    assert row.files
    assert row.expired_at is None

    set_row(database, young, finished_at=now() - timedelta(days=11))
    expected = {"outputs": (1, 16), "previews": (1, 32)}
    assert round_of(database, store, dry_run=True) == expected
    assert job_row(database, young).expired_at is None
    assert round_of(database, store) == expected
    row = job_row(database, young)
    assert (row.state, row.files, row.preview_key) == (FINISHED, {}, None)
    assert row.expired_at is not None
    assert [warning["code"] for warning in row.warnings] == ["expired"]
    assert tidy_due(database, store) == 0, "links that were given out still work"
    assert left(store, young) == {"outputs", "previews"}
    links_end(database)
    assert tidy_due(database, store) == 2
    assert left(store, young) == set()
    assert round_of(database, store) == {}
    assert job_row(database, young).warnings == row.warnings


def test_all_that_a_failed_job_left_goes_and_it_can_not_be_retried(database: Database, store: ObjectStore):
    job_id = ended(database, store, FAILED, 6, error_code="crashed")
    assert set(round_of(database, store)) == set(retention.CLASSES)
    assert left(store, job_id) == {"outputs", "previews"}
    links_end(database)
    tidy_due(database, store)
    assert left(store, job_id) == set()
    row = job_row(database, job_id)
    assert (row.state, row.error_code) == (FAILED, "crashed")
    with pytest.raises(jobs.SourceGone, match="upload the video again"):
        jobs.retry(database, row.account_id, job_id)
    assert job_row(database, job_id).attempt == row.attempt


def test_whoever_is_at_work_loses_nothing(sqlite_database: Database, local_store: ObjectStore):
    database, store = sqlite_database, local_store
    retried = ended(database, store, FAILED, 20)
    jobs.retry(database, job_row(database, retried).account_id, retried)
    running = ended(database, store, FAILED, 20)
    jobs.retry(database, job_row(database, running).account_id, running)
    at_work(database, running)
    again = ended(database, store, FINISHED, 20, reprocessing={"batch_id": str(uuid4()), "state": "queued"})
    tried = ended(database, store, FINISHED, 20)
    shadow = submitted(database, job_row(database, tried).account_id, reprocess_of=tried)
    objects = set(store.keys(""))
    assert round_of(database, store) == {}
    # A try that has ended, and may have brought the result of today, makes the job young again.
    set_row(database, shadow, state=FINISHED, finished_at=now() - timedelta(days=1))
    assert round_of(database, store) == {}
    assert {left(store, job_id) == left(store, retried) for job_id in (running, again, tried)} == {True}
    assert set(store.keys("")) == objects
    set_row(database, shadow, finished_at=now() - timedelta(days=4))
    assert "sources" in round_of(database, store)
    assert left(store, tried) == {"outputs", "previews", "upload"}, "the upload of others"


def test_an_upload_stays_while_another_job_of_it_has_its_source(sqlite_database: Database, local_store: ObjectStore):
    database, store = sqlite_database, local_store
    old, new = ended(database, store, FINISHED, 4), ended(database, store, FINISHED, 1)
    blob = job_row(database, old).blob_name
    set_row(database, new, blob_name=blob)
    assert "uploads" not in round_of(database, store)
    assert store.stat(blob) is not None
    set_row(database, new, finished_at=now() - timedelta(days=4))
    assert round_of(database, store)["uploads"] == (1, 64)
    assert store.stat(blob) is None


@pytest.mark.parametrize("state", [FINISHED, FAILED])
def test_what_a_crash_left_goes_in_the_next_round(
    sqlite_database: Database, local_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, state: str
):
    database, store = sqlite_database, local_store
    job_id = ended(database, store, state, 20)
    remove, budget = store.delete, [0]

    def dies(keys) -> None:
        for key in keys:
            if budget[0] == 0:
                raise StoreUnavailable("away")
            budget[0] -= 1
            remove([key])

    monkeypatch.setattr(store, "delete", dies)
    for allowed in (0, 1, 1, 1, 1):  # of five objects
        budget[0] = allowed
        with pytest.raises(StoreUnavailable):
            round_of(database, store)
        row = job_row(database, job_id)
        assert row.expired_at is not None, "the row says first what is gone"
        assert len(row.warnings) == 1
    monkeypatch.setattr(store, "delete", remove)
    round_of(database, store)
    links_end(database)
    tidy_due(database, store)
    assert left(store, job_id) == set()


def test_who_comes_between_the_look_and_the_mark_loses_nothing(
    database: Database, local_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
):
    failed, finished = (ended(database, local_store, state, 20) for state in (FAILED, FINISHED))
    objects, sizes = set(local_store.keys("")), local_store.sizes

    def meanwhile(prefix: str):
        if str(failed) in prefix:
            jobs.retry(database, job_row(database, failed).account_id, failed)
        else:
            submitted(database, job_row(database, finished).account_id, reprocess_of=finished)
        return sizes(prefix)

    monkeypatch.setattr(local_store, "sizes", meanwhile)
    assert round_of(database, local_store) == {}
    assert set(local_store.keys("")) == objects
    assert [job_row(database, job_id).expired_at for job_id in (failed, finished)] == [None, None]


def test_for_ever_is_for_ever_and_a_round_may_be_stopped(sqlite_database: Database, local_store: ObjectStore):
    ended(sqlite_database, local_store, FINISHED, 4000)
    assert round_of(sqlite_database, local_store, Settings()) == {}

    def stop(done: int, total: int, message: str) -> None:
        assert (done, total) == (0, 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retention.apply(sqlite_database, local_store, KEEP, now=now(), dry_run=False, progress=stop)
    assert Removed(kind="steps", objects=1, bytes=2) in retention.apply(
        sqlite_database, local_store, KEEP, now=now(), dry_run=True
    )
