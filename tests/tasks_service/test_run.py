"""How a step is carried out for a job: stored whole, gone on from a checkpoint, stopped when the job is no longer ours."""

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from storage import jobs, naming
from storage.attempts import Attempt, AttemptLost
from storage.database import Database, DatabaseUnavailable
from storage.local import LocalStore
from storage.objects import StoreUnavailable
from storage.settings import Settings
from tasks.errors import NotAVideo, SourceExpired
from tasks.process.runner import StepKilled
from tasks.service import archive, run
from tasks.service.archive import OutputLost
from tasks.service.patience import patiently
from tasks.service.run import JobRun
from tests.support.databases import job_row
from tests.tasks_service.steps import DONE

KEY = "d" * 64
STEPS = "tests.tasks_service.steps"


def make(job_run: JobRun, function: str, **arguments: object):
    return job_run.make("train", KEY, f"{STEPS}:{function}", lambda out: {"out": out, **arguments})


def test_a_step_is_stored_with_what_is_worth_keeping(job_run: JobRun, objects: LocalStore, service_settings: Settings):
    seen: list[tuple[str, int, int]] = []
    reference = job_run.make(
        "train",
        KEY,
        f"{STEPS}:good",
        lambda out: {"out": out},
        percent=lambda done, total: 50 * done // total,
        watch=lambda part, done, total: seen.append((part.name, done, total)),
        slot=nullcontext({"STAND_IN": "7"}),
    )
    assert reference.record == {"frames": 3, "warnings": ["Dark."], "threads": "7"}
    assert reference.warnings == ("Dark.",)
    assert reference.device == job_run.device
    assert (reference.step, reference.digest, reference.key) == (
        "train",
        KEY,
        naming.step_key(job_run.job_id, "train", KEY),
    )
    info = objects.stat(reference.key)
    assert info is not None
    assert info.bytes == reference.bytes
    assert seen == [(f"{KEY}.1.part", done, DONE) for done in range(1, DONE + 1)]
    folder = job_run.folder_of(reference)
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == ["colmap", "colmap/points.bin"]
    assert sorted(path.name for path in folder.parent.iterdir()) == [KEY, f"{KEY}.json"], "no draft is left"
    job = job_run.attempt.job()
    assert (job.step, job.step_done, job.step_total, job.percent) == ("train", DONE, DONE, 50)


def test_another_machine_fetches_what_it_lacks(job_run: JobRun, service_settings: Settings):
    reference = make(job_run, "good")
    before = (job_run.folder_of(reference) / "colmap" / "points.bin").read_bytes()
    job_run.clean()
    assert not (service_settings.work_folder / str(job_run.job_id)).exists()
    folder = job_run.folder_of(reference)
    assert (folder / "colmap" / "points.bin").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == [KEY]
    assert job_run.stored(reference.objects)
    assert not job_run.stored({**reference.objects, "jobs/none": 1})
    assert not job_run.stored({key: size + 1 for key, size in reference.objects.items()})


@pytest.mark.parametrize("damage", ["bytes", "size"])
def test_what_is_not_what_was_stored_is_told_and_removed(job_run: JobRun, objects: LocalStore, damage: str):
    reference = make(job_run, "good")
    whole = objects.get_bytes(reference.key)
    job_run.clean()
    objects.put_bytes(reference.key, whole[:-1] + b"!" if damage == "bytes" else whole + b"!")
    with pytest.raises(OutputLost, match="damaged"):
        archive.fetch(objects, reference, job_run.scratch("x.tar"))
    assert not job_run.stored(reference.objects), "whoever looks next makes it again"
    with pytest.raises(OutputLost, match="gone"):
        archive.fetch(objects, reference, job_run.scratch("x.tar"))
    objects.put_bytes(reference.key, whole)
    archive.fetch(objects, replace(reference, sha256=""), job_run.scratch("x.tar"))  # kept by an older version


def test_a_killed_step_goes_on_from_its_checkpoint(job_run: JobRun):
    with pytest.raises(StepKilled):
        make(job_run, "killed_once")
    assert make(job_run, "killed_once").record == {"resumed": "half"}


def test_a_step_that_could_not_be_stored_is_not_made_again(
    job_run: JobRun, objects: LocalStore, monkeypatch: pytest.MonkeyPatch
):
    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(objects, "put_file", away)
        patch.setattr(run, "patiently", partial(patiently, seconds=1.5))  # not two minutes
        with pytest.raises(StoreUnavailable):
            make(job_run, "good")
    reference = make(job_run, "silent", pid_file=None)  # it would never end
    assert reference.record["frames"] == 3
    assert objects.stat(reference.key) is not None


def test_a_file_stored_by_an_attempt_that_is_lost_meanwhile_goes_again(
    job_run: JobRun,
    sqlite_database: Database,
    account_id: UUID,
    objects: LocalStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    put, file, key = objects.put_file, tmp_path / "x", naming.output_key(job_run.job_id, 1, "x.ply")
    file.write_text("x")

    def and_cancel(*given: object, **named: object) -> None:
        put(*given, **named)  # pyright: ignore[reportArgumentType]
        jobs.cancel(sqlite_database, account_id, job_run.job_id)

    monkeypatch.setattr(objects, "put_file", and_cancel)
    with pytest.raises(AttemptLost):
        job_run.put(key, file, "x/x")
    assert objects.stat(key) is None


def test_after_the_end_only_the_results_files_stay(
    job_run: JobRun, objects: LocalStore, service_settings: Settings, sqlite_database: Database
):
    job_id = job_run.job_id
    used, preview = naming.output_key(job_id, 2, "scene.ply"), naming.output_key(job_id, 2, "preview.jpg")
    checkpoint = naming.checkpoint_key(job_id, KEY, 1, 1, "0" * 64)
    others = [naming.output_key(job_id, 1, "scene.ply"), naming.preview_key(job_id, 2, 10), checkpoint]
    for key in (used, preview, *others):
        objects.put_bytes(key, b"x")
    make(job_run, "good")
    job_run.attempt.preview(preview)
    job_run.attempt.finish(files={"ply": {"key": used, "bytes": 1, "sha256": "0"}}, quality={}, scale=None)
    job_run.clean()
    kept = set(objects.keys(""))
    assert kept >= {used, preview, job_run.job.source_key}
    assert not kept & set(others)
    assert not (service_settings.work_folder / str(job_id)).exists()


@pytest.mark.parametrize(("end", "stays"), [(jobs.cancel, True), (jobs.remove, False)])
def test_a_lost_attempt_leaves_what_the_next_one_may_use(
    job_run: JobRun,
    sqlite_database: Database,
    account_id: UUID,
    service_settings: Settings,
    end: Callable[..., object],
    stays: bool,
):
    make(job_run, "good")
    end(sqlite_database, account_id, job_run.job_id)
    job_run.leave()
    assert (service_settings.work_folder / str(job_run.job_id)).exists() is stays


def test_what_a_failed_step_left_without_a_checkpoint_goes(job_run: JobRun, tmp_path: Path, objects: LocalStore):
    with pytest.raises(NotAVideo, match="no video"):
        make(job_run, "fails_once", flag=tmp_path / "flag")
    assert [key for key in objects.keys("") if "/steps/" in key] == []
    assert objects.stat(make(job_run, "fails_once", flag=tmp_path / "flag").key) is not None


def test_only_a_made_step_counts_as_progress(job_run: JobRun, sqlite_database: Database, account_id: UUID):
    jobs.change(sqlite_database, account_id, job_run.job_id, {"crashes": 2})
    job_run.end_step("sfm", 1.0)
    assert job_run.attempt.job().crashes == 2
    reference = make(job_run, "good")
    job_run.end_step("train", reference.seconds)
    assert job_run.attempt.job().crashes == 0


def lost_while(act: Callable[[], object], began: Callable[[], bool], end: Callable[[], object]) -> float:
    """Seconds from the end of the job to the end of `act`, which must tell that the attempt is lost."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 60
    while not began() and time.monotonic() < deadline:
        time.sleep(0.05)
    end()
    ended = time.monotonic()
    thread.join(timeout=60)
    seconds = time.monotonic() - ended
    assert [type(error) for error in errors] == [AttemptLost]
    return seconds


@pytest.mark.parametrize("end", [jobs.cancel, jobs.remove])
def test_a_silent_step_is_ended_within_five_seconds_of_its_job(
    job_run: JobRun,
    sqlite_database: Database,
    account_id: UUID,
    tmp_path: Path,
    end: Callable[..., object],
    objects: LocalStore,
):
    pid_file = tmp_path / "pid"
    seconds = lost_while(
        lambda: make(job_run, "silent", pid_file=pid_file),
        lambda: pid_file.is_file() and pid_file.read_text() != "",
        lambda: end(sqlite_database, account_id, job_run.job_id),
    )
    assert seconds < 5
    assert not psutil.pid_exists(int(pid_file.read_text()))
    assert [key for key in objects.keys("") if "/steps/" in key] == []


def test_a_step_that_reports_is_ended_too(job_run: JobRun, sqlite_database: Database, account_id: UUID):
    seconds = lost_while(
        lambda: make(job_run, "chatty"),
        lambda: bool(job_row(sqlite_database, job_run.job_id).step_done),
        lambda: jobs.cancel(sqlite_database, account_id, job_run.job_id),
    )
    assert seconds < 5


def test_a_database_that_is_away_does_not_stop_a_step(job_run: JobRun, monkeypatch: pytest.MonkeyPatch):
    def away(*_: object) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(Attempt, "progress", away)
    assert make(job_run, "good").record["frames"] == 3


def test_the_source_is_fetched_once_and_again_when_it_is_not_whole(job_run: JobRun, objects: LocalStore):
    path = job_run.source()
    assert path.read_bytes() == b"video"
    objects.delete([job_run.job.source_key])
    assert job_run.source() == path
    objects.put_bytes(job_run.job.source_key, b"video")
    path.write_bytes(b"vid")
    assert job_run.source().read_bytes() == b"video"


def test_a_source_that_is_no_longer_kept_is_told_as_such(job_run: JobRun, objects: LocalStore):
    objects.delete([job_run.job.source_key])
    with pytest.raises(SourceExpired, match="upload the video again"):
        job_run.source()


def test_a_scratch_folder_is_new(job_run: JobRun):
    folder = job_run.scratch("export")
    folder.mkdir()
    (folder / "old").write_text("x")
    assert not job_run.scratch("export").exists()
    assert folder.parent.is_dir()
