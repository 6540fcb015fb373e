"""The flow on a real Prefect server, with steps that do nothing: what is found again, what is made anew, what the end leaves."""

import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prefect.testing.utilities import prefect_test_harness

import storage.database
import storage.settings
from flows import hooks, request
from flows.reconstruct import reconstruct
from storage import jobs, measures, naming, tally
from storage.database import Database
from storage.local import LocalStore
from storage.settings import Settings
from storage.tables import FAILED, FINISHED
from tasks.errors import NoParallax, OutOfMemory
from tasks.mask import task as mask_task
from tests.flows.reprocessed import check_reprocessing
from tests.flows.stand_ins import CAMERA, SCALE, StandIns
from tests.support.databases import job_row, submitted


@pytest.fixture
def service(
    service_settings: Settings, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """Settings and database of the environment, as a run's process has them."""
    monkeypatch.setenv("SPLATFLOW_DATA", str(service_settings.data))
    monkeypatch.setenv("SPLATFLOW_BEAT_SECONDS", str(service_settings.beat_seconds))
    monkeypatch.setattr(hooks, "at_work", None)
    storage.settings.settings.cache_clear()
    storage.database.database.cache_clear()
    yield sqlite_database
    storage.database.database().close()
    storage.settings.settings.cache_clear()
    storage.database.database.cache_clear()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> StandIns:
    made = StandIns()
    monkeypatch.setattr("tasks.service.run.run_step", made)
    return made


def attempt_at(job_id: UUID, number: int) -> FlowRun:
    """Makes the run of an attempt, as a worker does with what the dispatcher asked for; the run as it ended."""
    with tags(*request.tags(job_id, number, "glomap")):
        reconstruct(str(job_id), return_state=True)
    with get_client(sync_client=True) as client:
        wanted = FlowRunFilter(tags=FlowRunFilterTags(all_=request.tags(job_id, number, "glomap")))
        return max(client.read_flow_runs(flow_run_filter=wanted), key=lambda run: run.created)  # pyright: ignore


@pytest.mark.timeout(300)
def test_a_jobs_life_on_prefect(
    service: Database,
    account_id: UUID,
    objects: LocalStore,
    steps: StandIns,
    tmp_path: Path,
    service_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
):
    job_id = submitted(service, account_id, source_bytes=5, title="Fox")
    objects.put_bytes(job_row(service, job_id).source_key, b"video")
    with prefect_test_harness(server_startup_timeout=120):
        # Training breaks: the job fails, and what was finished is kept.
        steps.failures["train"] = RuntimeError("a defect in /some/folder")
        run = attempt_at(job_id, 1)
        job = job_row(service, job_id)
        assert (run.state_name, job.state, job.error_code, job.percent) == ("Failed", FAILED, "internal", 49)
        assert "/some/folder" not in (job.error_message or "")
        assert run.parameters == {"job_id": str(job_id)}
        assert steps.calls == ["extract", "sfm", "train"]

        # Retried on another machine: finished steps are found again, with what they said. Memory runs out: it is trained
        # again, smaller, once. Then the input is at fault.
        steps.calls.clear()
        steps.failures["train"] = OutOfMemory("too little")
        shutil.rmtree(service_settings.work_folder)
        jobs.retry(service, account_id, job_id)
        steps.failures["export"] = NoParallax("The camera only turned; walk around the scene.")
        attempt_at(job_id, 2)
        job = job_row(service, job_id)
        assert steps.calls == ["train", "train", "export"], "an input error is not tried again"
        assert job.fitted == 1
        assert [w["code"] for w in job.warnings] == ["pipeline", "fitted"]
        assert "at most 500,000 Gaussians instead of 1,000,000" in job.warnings[1]["message"]
        assert (job.state, job.error_code) == (FAILED, "no_parallax")
        assert job.step_seconds == {"extract": 1.0, "sfm": 1.0, "train": 1.0}

        # An output that is gone from the store is made again, and nothing else.
        steps.calls.clear()
        shutil.rmtree(service_settings.work_folder)
        for key in list(objects.keys(f"{naming.job_prefix(job_id)}steps/sfm/")):
            objects.delete([key])
        jobs.retry(service, account_id, job_id)
        run = attempt_at(job_id, 3)
        job = job_row(service, job_id)
        assert steps.calls == ["sfm", "export"]
        assert (run.state_name, job.state, job.percent) == ("Completed", FINISHED, 100)
        assert job.camera_computed == CAMERA
        assert [warning["message"] for warning in job.warnings][::2] == ["Dark frames."], "said once"
        for file in job.files.values():
            info = objects.stat(file["key"])
            assert info is not None
            assert info.bytes == file["bytes"]
        assert not (service_settings.work_folder / str(job_id)).exists()

        # Everything that belongs to the job lies below it, results included; a deletion of that prefix leaves nothing.
        results = list(objects.keys(naming.result_prefix(job_id)))
        assert len(results) == 6
        assert all(key.startswith(naming.job_prefix(job_id)) for key in objects.keys(""))

        # A run that nobody waits for does nothing: neither a second one of this attempt, nor one made by hand.
        steps.calls.clear()
        assert attempt_at(job_id, 3).state_name == "Cancelled"
        assert reconstruct(str(uuid4()), return_state=True).name == "Cancelled"
        assert steps.calls == []
        assert job_row(service, job_id).model_dump() == job.model_dump()

        _was_counted(service)
        _with_everything_asked_for(service, account_id, objects, steps, tmp_path, monkeypatch)
        check_reprocessing(service, account_id, objects, steps, service_settings, attempt_at, monkeypatch, tmp_path)


def _was_counted(database: Database) -> None:
    """Three attempts at one job, for operators: each step once, whoever found it finished again."""
    with database.read() as session:
        found = tally.read(session)
    of_steps = {labels[0]: parts[tally.SUM] for labels, parts in found[measures.STEP_SECONDS.name].items()}
    assert of_steps == {"extract": 1.0, "sfm": 1.0, "train": 1.0, "export": 1.0}
    assert found[measures.FAILURES.name] == {("internal",): {"": 1.0}, ("no_parallax",): {"": 1.0}}
    assert found[measures.ENDED.name] == {("failed",): {"": 2.0}, ("finished",): {"": 1.0}}
    assert found[measures.WAIT.name].keys() == {("start",)}


def _with_everything_asked_for(
    service: Database,
    account_id: UUID,
    objects: LocalStore,
    steps: StandIns,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Size, subject, mesh and turntable; on the Prefect server of the test before, since one takes 20 s to start."""
    asked = {"apriltag_size_mm": 95.6, "remove_background": True, "mesh": True}
    video = {"seconds": 2.5, "side_px": 320, "path": "sway"}
    job_id = submitted(service, account_id, source_bytes=5, turntable=video, **asked)
    objects.put_bytes(job_row(service, job_id).source_key, b"video")
    home = tmp_path / "models"
    monkeypatch.setenv("REMBG_HOME", str(home))
    storage.settings.settings.cache_clear()

    # A model that is missing, or no model, is told before any work is done.
    attempt_at(job_id, 1)
    job = job_row(service, job_id)
    assert (job.error_code, steps.calls) == ("mask_model_missing", [])
    home.mkdir()
    (home / "u2netp.onnx").write_text("no network")
    jobs.retry(service, account_id, job_id)
    attempt_at(job_id, 2)
    job = job_row(service, job_id)
    assert (job.error_code, steps.calls) == ("mask_model_unusable", [])

    monkeypatch.setattr(mask_task, "check_model", lambda *_: None)
    jobs.retry(service, account_id, job_id)
    attempt_at(job_id, 3)
    job = job_row(service, job_id)
    assert steps.calls == ["extract", "mask", "sfm", "scale", "train", "mesh", "turntable", "export"]
    assert (job.state, job.scale) == (FINISHED, SCALE)
    assert [warning["message"] for warning in job.warnings] == ["Dark frames.", "Small subject.", "One tag."]
    assert job.files["glb"]["bytes"] == 4
    assert [objects.get_bytes(job.files[kind]["key"]) for kind in ("mp4", "poster")] == [b"2.5 s", b"sway"]
    assert set(job.step_seconds) == {"extract", "mask", "sfm", "scale", "train", "mesh", "turntable", "export"}
    archive = objects.get_bytes(job.files["colmap"]["key"])
    with zipfile.ZipFile(io.BytesIO(archive)) as bundle:
        assert bundle.namelist() == ["images/x", "masks/x", "colmap/x"]
