"""A round of housekeeping: each part does its work, or says why not while the others do theirs, and all is told."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update
from sqlmodel import col

from flows import past_runs, round_report
from flows.clearing import KEEP_ANSWERS, PARTS, UPLOAD_GRACE, Cleared, Round
from storage import actions, jobs, ledger, measures, naming, tally, uploads
from storage.database import Database
from storage.jobs import Submission
from storage.local import LocalStore
from storage.objects import StoreUnavailable
from storage.removed import Removed
from storage.settings import Settings
from storage.tables import Action, IdempotentSubmit, Upload, now
from tests.support.databases import at_work, counts, new_job, submitted

ON_STORE = ("uploads", "objects", "unfinished writes")


@pytest.fixture
def this(sqlite_database: Database, objects: LocalStore, service_settings: Settings) -> Round:
    return Round(database=sqlite_database, objects=objects, settings=service_settings, min_age=timedelta(seconds=-5))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.garbage.SUBMIT_SECONDS", 0.0)


def dry(this: Round) -> Round:
    return Round(
        database=this.database, objects=this.objects, settings=this.settings, dry_run=True, min_age=this.min_age
    )


def done(part: str, this: Round) -> dict[str, list[Removed]]:
    return {one.part: list(one.removed) for one in PARTS[part](this) if one.removed}


def test_objects_go_and_are_counted_for_metrics(this: Round, account_id: UUID):
    name = uploads.create(this.database, account_id, "mp4", seconds=60).blob_name
    with this.database.write() as session:
        session.execute(update(Upload).values(expires_at=now() - 2 * UPLOAD_GRACE))
    stranger = naming.step_key(uuid4(), "sfm", "d")
    this.objects.put_bytes(name, b"video")
    this.objects.put_bytes(stranger, b"x" * 7)
    expected = {"uploads never submitted": [Removed(kind="uploads", objects=1, bytes=5)]}
    assert done("uploads", dry(this)) == done("uploads", this) == expected
    expected = {"objects of no job": [Removed(kind="steps", objects=1, bytes=7)]}
    assert done("objects", dry(this)) == done("objects", this) == expected
    assert list(this.objects.keys("")) == []
    with this.database.read() as session:
        counted = tally.read(session)[measures.COLLECTED.name]
    assert {labels[0]: parts[""] for labels, parts in counted.items()} == {"uploads": 5, "steps": 7}


def test_work_folders_stay_while_they_are_of_use(this: Round, account_id: UUID):
    work = this.settings.work_folder
    assert done("work folders", this) == {}, "there is no folder yet"
    waiting, working, deleted = (submitted(this.database, account_id) for _ in range(3))
    at_work(this.database, working)
    jobs.remove(this.database, account_id, deleted)
    for name in (waiting, working, deleted, uuid4(), "other"):
        (work / str(name)).mkdir(parents=True)
        (work / str(name) / "frame").write_bytes(b"x" * 10)
    expected = {"work folders of this machine": [Removed(kind="work", objects=2, bytes=20)]}
    assert done("work folders", dry(this)) == done("work folders", this) == expected
    assert {path.name for path in work.iterdir()} == {str(waiting), str(working), "other"}


def test_old_rows_are_forgotten(this: Round, account_id: UUID):
    for key in ("old", "new"):
        jobs.submit(this.database, new_job(account_id), lambda job: {}, Submission(key=key, body_sha256="b"))
    with this.database.write() as session:
        session.execute(
            update(IdempotentSubmit)
            .where(col(IdempotentSubmit.key) == "old")
            .values(created_at=now() - 2 * KEEP_ANSWERS)
        )
        session.add(Action(job_id=uuid4(), attempt=1, kind="lost", reason="x", done_at=now() - timedelta(days=60)))
    expected = {"old rows": [Removed(kind="answers", objects=1, bytes=0), Removed(kind="actions", objects=1, bytes=0)]}
    assert done("rows", dry(this)) == done("rows", this) == expected
    assert counts(this.database)["idempotentsubmit"] == 1
    assert done("rows", this) == {}


def test_a_store_or_a_prefect_that_is_away_is_told(this: Round, monkeypatch: pytest.MonkeyPatch):
    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("The store is away.")

    for name in ("entries", "sweep", "sizes"):
        monkeypatch.setattr(this.objects, name, away)
    for part in ON_STORE:
        with pytest.raises(StoreUnavailable):
            PARTS[part](this)
    assert done("rows", this) == done("work folders", this) == done("retention", this) == {}
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(past_runs.PrefectAway, match="PREFECT_API_URL"):
        PARTS["runs"](this)


def test_what_is_told(this: Round, account_id: UUID):
    job_id = submitted(this.database, account_id)
    at_work(this.database, job_id).give_back()
    this.objects.put_bytes("notes.txt", b"12345")
    found = round_report.report(
        dry_run=True,
        began_at=now(),
        seconds=1.0,
        cleared=[Cleared(part="old rows", removed=(Removed(kind="answers", objects=1234, bytes=0),))],
        problems={"runs": "Prefect does not answer."},
        ledger=ledger.read(this.database, this.objects),
        actions=actions.newest(this.database, limit=9, within=timedelta(days=1)),
    )
    assert (found["bytes"], found["store"]["stored"], found["store"]["accounted"]) == (0, 5, 5)
    assert found["store"]["missing"] == [naming.source_key(job_id, "mp4")], "its bytes make up for the stray's"
    assert not found["store"]["balanced"]
    told = round_report.text(found)
    for part in ("1,234", "would be removed", "not done: Prefect does not answer.", "given back", "notes.txt"):
        assert part in told
    assert [row["class"] for row in round_report.store_table(found)][-1] == "all"
    assert round_report.action_table(found)[0]["job"] == str(job_id)
