"""Scratch space: what is in use stays, what nobody needs goes, and there is room before a step begins."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from cli.service import worker
from storage import jobs
from storage.database import Database
from storage.settings import Settings
from tasks.errors import DiskFull
from tasks.service import room, scratch
from tasks.service.run import JobRun
from tests.support.databases import job_row, submitted
from tests.support.job_runs import LOG

HOLD = """
import sys, time
from pathlib import Path
from tasks.service import scratch
with scratch.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def work_folder(root: Path, job_id: UUID) -> Path:
    folder = root / str(job_id)
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "x").write_bytes(b"x" * 100)
    return folder


def test_what_no_job_needs_goes(sqlite_database: Database, account_id: UUID, tmp_path: Path):
    open_job, cancelled, deleted = (submitted(sqlite_database, account_id) for _ in range(3))
    jobs.cancel(sqlite_database, account_id, cancelled)
    jobs.remove(sqlite_database, account_id, deleted)
    kept = [work_folder(tmp_path, job) for job in (open_job, cancelled)]
    gone = [work_folder(tmp_path, job) for job in (deleted, uuid4())]
    (tmp_path / "no job").mkdir()
    assert scratch.sweep(tmp_path, sqlite_database) == (2, 200)
    assert all(path.is_dir() for path in [*kept, tmp_path / "no job"])
    assert not any(path.exists() for path in gone)


def test_a_worker_that_starts_tidies_up(
    sqlite_database: Database,
    account_id: UUID,
    service_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("SPLATFLOW_DATA", str(service_settings.data))
    monkeypatch.setattr("storage.database.database", lambda: sqlite_database)
    gone = work_folder(service_settings.work_folder, uuid4())
    kept = work_folder(service_settings.work_folder, submitted(sqlite_database, account_id))
    worker.tidy()
    assert not gone.exists()
    assert kept.is_dir()
    assert "1 work folder(s)" in capfd.readouterr().out


def test_what_a_process_holds_stays_until_it_is_killed(sqlite_database: Database, tmp_path: Path):
    folder = work_folder(tmp_path, uuid4())
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with scratch.held(folder):  # another attempt, as when one is frozen
            pass
        assert scratch.sweep(tmp_path, sqlite_database) == (0, 0)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert scratch.sweep(tmp_path, sqlite_database)[0] == 1
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # pyright: ignore[reportOptionalMemberAccess]
    assert not folder.exists()


def test_a_folder_removed_at_the_same_moment_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, flock, removed = tmp_path / "job", scratch.fcntl.flock, []

    def and_remove(descriptor: int, how: int) -> None:
        if not removed:
            removed.append(shutil.rmtree(folder))
        flock(descriptor, how)

    monkeypatch.setattr(scratch.fcntl, "flock", and_remove)
    with scratch.held(folder):
        assert (folder / scratch.LOCK).is_file()
        with scratch._alone(folder) as alone:
            assert not alone


def test_room_is_made_or_the_step_does_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mine, idle = work_folder(tmp_path, uuid4()), work_folder(tmp_path, uuid4())
    free = [1 << 30, 1 << 30, 5 << 30]
    monkeypatch.setattr(scratch, "_free", lambda _: free.pop(0))
    with scratch.held(mine):
        scratch.make_room(tmp_path, 1 << 20, "sfm", LOG)
        assert idle.exists(), "there was room"
        scratch.make_room(tmp_path, 2 << 30, "train", LOG)
        assert mine.is_dir()
        assert not idle.exists()
        free += [1 << 30]
        with pytest.raises(DiskFull, match=r"train may write 2\.1 GB .* 1\.1 GB free"):
            scratch.make_room(tmp_path, 2 << 30, "train", LOG)


def test_a_step_without_room_is_refused_before_it_begins(job_run: JobRun, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scratch, "_free", lambda _: 1 << 20)
    with pytest.raises(DiskFull):
        job_run.make("train", "d" * 64, "tests.tasks_service.steps:good", lambda out: {"out": out})
    assert job_run.attempt.job().step is None


def test_more_is_asked_for_where_more_is_written(sqlite_database: Database, account_id: UUID):
    job = job_row(sqlite_database, submitted(sqlite_database, account_id))
    job.training_max_num_gaussians, job.max_frames = 50_000, 50
    small = {step: room.needed(step, job, "cpu") for step in ("extract", "mask", "sfm", "train", "mesh", "export")}
    job.training_max_num_gaussians, job.max_frames = 1_000_000, 600
    assert all(room.needed(step, job, "cpu") > size for step, size in small.items() if step != "mesh")
    job.max_frames = None
    assert room.needed("extract", job, "cpu") < room.needed("extract", job, "cuda")


def test_hosts_that_are_given_one_scratch_folder_do_not_meet_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = set()
    for host in ("a", "b"):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        found.add(Settings(scratch=tmp_path).work_folder)
    assert found == {tmp_path / "a", tmp_path / "b"}
    assert Settings(data=tmp_path).work_folder == tmp_path / "work"
