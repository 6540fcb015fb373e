"""Finished jobs made again: what is found again, what is replaced, what a kill leaves. To be called with a Prefect server at hand."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from sqlalchemy import select
from sqlmodel import col

from flows import reprocess as module
from flows.reprocess import reprocess
from storage import batches, dispatching, shadows
from storage.attempts import claim
from storage.database import Database
from storage.local import LocalStore
from storage.settings import Settings
from storage.tables import OPEN_STATES, Job
from tasks.process import digest
from tests.flows.stand_ins import StandIns
from tests.support.databases import job_row, seen, submitted

TITLES = ("again one", "again two", "again worse")
Attempt = Callable[[UUID, int], Any]


class Killed(Exception):
    """Stands for the death of a run's process."""


def check_reprocessing(
    database: Database,
    account_id: UUID,
    objects: LocalStore,
    steps: StandIns,
    settings: Settings,
    attempt_at: Attempt,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Three finished jobs get twice the steps: two become better, one does not; a try and the batch's run die on the way."""
    _judge_by_steps(steps, monkeypatch)
    ids = [_finished(database, account_id, objects, attempt_at, title) for title in TITLES]
    shutil.rmtree(settings.work_folder, ignore_errors=True)
    old = [job_row(database, job_id) for job_id in ids]
    pipeline = digest.of_pipeline()
    assert {(job.quality or {})["pipeline"] for job in old} == {pipeline}
    steps.calls.clear()
    looks = 0

    def meanwhile() -> None:
        nonlocal looks
        looks += 1
        _look_whole(database, objects, ids, tmp_path)
        if looks == 1:
            _die_at_work(database, attempt_at)
            raise Killed
        for shadow in _open(database):
            attempt_at(shadow.id, shadow.attempt)
            _look_whole(database, objects, ids, tmp_path)

    monkeypatch.setattr(module, "pause", meanwhile)
    wishes: dict[str, Any] = {"title": "again *", "options": {"training_num_steps": 200}, "at_once": 2}
    assert reprocess(**wishes, not_pipeline=["current"], return_state=True).is_completed(), "none is of another version"
    assert reprocess(**wishes, return_state=True).is_failed()
    (batch,) = batches.open_batches(database)
    reprocess(str(batch.id))
    batch, counts = batches.get(database, batch.id)
    assert (batch.state, counts["replaced"], counts["kept"]) == ("finished", 2, 1)
    assert sorted(steps.calls) == ["export"] * 3 + ["train"] * 3, "no cameras were looked for again"

    new = [job_row(database, job_id) for job_id in ids]
    assert [job.training_num_steps for job in new] == [200, 200, 100]
    assert [job.state for job in new] == ["finished"] * 3
    assert all((a.quality or {})["psnr_db"] >= (b.quality or {})["psnr_db"] for a, b in zip(new, old, strict=True))
    assert new[2].files == old[2].files
    assert new[0].step_seconds == {"extract": 1.0, "sfm": 1.0, "train": 1.0, "export": 1.0}
    for job in new:
        shadows.tidy(database, objects, job.id)
        kept = {file["key"] for file in job.files.values()} | {job.preview_key}
        assert set(objects.keys(f"jobs/{job.id}/outputs/")) == kept
    _look_whole(database, objects, ids, tmp_path)

    # The same batch once more, and the same wishes once more: nothing is left to do.
    steps.calls.clear()
    reprocess(str(batch.id))
    before_again = len(_open(database))
    reprocess(**{**wishes, "title": "again o*"})
    assert (steps.calls, before_again, _open(database)) == ([], 0, [])
    assert [job_row(database, job_id).model_dump() for job_id in ids] == [job.model_dump() for job in new]
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[f"batch-{batch.id}"]))
        told = str(client.read_artifacts(artifact_filter=wanted)[0].data)
    assert "| again one | replaced | 21.00 | 22.00 |" in told
    assert "| again worse | kept | 19.00 | 18.00 |" in told


def _judge_by_steps(steps: StandIns, monkeypatch: pytest.MonkeyPatch) -> None:
    """The more steps the better, but for the one that is called so."""
    plain = steps._export

    def export(out: Path, arguments: dict[str, Any]) -> dict[str, Any]:
        record, context = plain(out, arguments), arguments["context"]
        sign = -1 if "worse" in context.source else 1
        psnr = 20 + sign * context.options["training_num_steps"] / 100
        (out / "scene.ply").write_text(f"scene of {context.options['training_num_steps']} steps")
        told = json.loads((out / "report.json").read_text())
        evaluation = {"psnr_db": psnr, "ssim": 0.9, "width": 64, "height": 48, "views": [{"name": "1.jpg"}]}
        told |= {"evaluation": evaluation, "sfm": {"frames_registered": 3}}
        (out / "report.json").write_text(json.dumps(told))
        return record

    monkeypatch.setattr(steps, "_export", export)


def _finished(database: Database, account_id: UUID, objects: LocalStore, attempt_at: Attempt, title: str) -> UUID:
    job_id = submitted(database, account_id, source_bytes=5, title=title, training_num_steps=100)
    objects.put_bytes(job_row(database, job_id).source_key, b"video")
    attempt_at(job_id, 1)
    assert job_row(database, job_id).state == "finished"
    return job_id


def _open(database: Database) -> list[Job]:
    query = select(Job).where(col(Job.reprocess_of).is_not(None), col(Job.state).in_(OPEN_STATES))
    with database.read() as session:
        return list(session.scalars(query.where(col(Job.deleted_at).is_(None))))


def _die_at_work(database: Database, attempt_at: Attempt) -> None:
    """The attempt of one try begins and is never heard of again; the dispatcher gives it another one."""
    shadow = _open(database)[0]
    claim(database, shadow.id, uuid4(), shadow.attempt)
    assert (
        dispatching.attempt_died(database, seen(database, shadow.id), max_attempts=3, reason="it was killed")
        == "queued"
    )


def _look_whole(database: Database, objects: LocalStore, ids: list[UUID], tmp_path: Path) -> None:
    """Every job has one whole set of files whose digests match its row."""
    for job_id in ids:
        job = job_row(database, job_id)
        assert job.state == "finished"
        assert {"ply", "spz", "report"} <= job.files.keys()
        for file in job.files.values():
            copy = tmp_path / "copy"
            objects.get_file(file["key"], copy)
            assert digest.of_file(copy) == file["sha256"]
        assert objects.get_bytes(job.files["ply"]["key"]) == f"scene of {job.training_num_steps} steps".encode()
