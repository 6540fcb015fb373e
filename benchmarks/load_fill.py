"""An account with many jobs, as a database looks after months: rows only, without files in the object store."""

import hashlib
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from storage import accounts, naming
from storage.database import Database
from storage.tables import FAILED, FINISHED, QUEUED, START, Job, Outbox, now

AMPLE = {"read": "100000000/minute", "write": "100000000/minute", "submit": "100000000/minute"}
FAILED_SHARE, QUEUED_SHARE = 0.07, 0.03
NOT_SOON = timedelta(days=3650)  # so that no dispatcher starts what waits
BATCH = 1000
FAILURES = {
    "too_few_frames": "Only 4 usable frames were found; film for longer, or give a higher max_frames.",
    "crashed": "The run died 3 times (its host is gone); retry the job, and if it dies again look at the worker's log.",
    "cancelled": "The job was cancelled; retry it to go on from the steps that were finished.",
}
WARNING = "3 of 120 frames could not be placed (frames 17, 18, 19); film slower there."
STEP_SECONDS = {"extract": (1, 30), "sfm": (20, 300), "train": (60, 1500), "export": (2, 20)}
FILES = {"ply": "scene.ply", "spz": "scene.spz", "report": "report.json", "report_html": "report.html"}
FILES |= {"colmap": "colmap.zip", "camera": "camera.json"}


def fill(database: Database, jobs: int, *, seed: int = 0) -> dict[str, Any]:
    """Makes an account with `jobs` jobs, and a key of it with ample limits.

    Nine in ten are finished; the rest failed, or wait with a start that is put off for ten years. None has objects.

    Args:
        database: of a group, which may run.

    Returns the key, the account's name, and the number of jobs by state.

    Raises:
        DatabaseUnavailable
    """
    chooser = random.Random(seed)
    name = f"load-{uuid4().hex[:8]}"
    _, account, secret = accounts.create_key(database, name=name, limits=AMPLE)
    counts: dict[str, int] = {}
    rows = [_job(chooser, account.id, age) for age in range(jobs)]
    for batch in _batches(rows):
        _store(database, batch, counts)
    return {"key": secret, "account": name, "jobs": counts}


def _store(database: Database, jobs: list[Job], counts: dict[str, int]) -> None:
    with database.write() as session:
        for job in jobs:
            counts[job.state] = counts.get(job.state, 0) + 1
            if job.state == QUEUED:
                session.add(Outbox(kind=START, job_id=job.id, attempt=job.attempt, due_at=now() + NOT_SOON))
        session.add_all(jobs)


def _batches(rows: list[Job]) -> Iterator[list[Job]]:
    for first in range(0, len(rows), BATCH):
        yield rows[first : first + BATCH]


def _job(chooser: random.Random, account_id: UUID, age: int) -> Job:
    job_id = UUID(int=chooser.getrandbits(128), version=4)
    created = now() - timedelta(minutes=13 * age + chooser.random())
    job = Job(
        id=job_id,
        account_id=account_id,
        created_at=created,
        title=f"Scene {age}: {chooser.choice(('garden', 'living room', 'statue', 'façade', 'bicycle'))}.mp4",
        public=chooser.random() < 0.2,
        blob_name=naming.upload_key(job_id, "mp4"),
        source_key=naming.source_key(job_id, "mp4"),
        source_bytes=chooser.randrange(5_000_000, 400_000_000),
        camera_type=chooser.choice((None, "orbital", "drone")),
    )
    draw = chooser.random()
    if draw < QUEUED_SHARE:
        return job
    if draw < QUEUED_SHARE + FAILED_SHARE:
        return _failed(chooser, job, created)
    return _finished(chooser, job, created)


def _failed(chooser: random.Random, job: Job, created: datetime) -> Job:
    job.state, job.step = FAILED, chooser.choice(("extract", "sfm", "train"))
    job.error_code = chooser.choice(tuple(FAILURES))
    job.error_message = FAILURES[job.error_code]
    job.started_at, job.finished_at = created + timedelta(minutes=2), created + timedelta(minutes=6)
    return job


def _finished(chooser: random.Random, job: Job, created: datetime) -> Job:
    seconds = {name: round(chooser.uniform(low, high), 3) for name, (low, high) in STEP_SECONDS.items()}
    job.state, job.step, job.percent, job.step_seconds = FINISHED, "export", 100, seconds
    job.started_at = created + timedelta(minutes=2)
    job.finished_at = job.started_at + timedelta(seconds=sum(seconds.values()))
    job.quality = {
        "frames_given": 120,
        "frames_registered": 117,
        "reprojection_error_px": round(chooser.uniform(0.3, 0.9), 4),
        "psnr_db": round(chooser.uniform(21, 34), 4),
        "ssim": round(chooser.uniform(0.6, 0.95), 5),
        "num_gaussians": chooser.randrange(50_000, 1_000_000),
        "step_seconds": seconds,
    }
    job.warnings = [{"code": "pipeline", "step": "sfm", "message": WARNING}] if chooser.random() < 0.3 else []
    job.camera_computed = {name: _vector(chooser) for name in ("position", "lookAt", "up")}
    job.files = {kind: _file(chooser, job.id, name) for kind, name in FILES.items()}
    job.preview_key = naming.output_key(job.id, 1, "preview.jpg")
    return job


def _vector(chooser: random.Random) -> dict[str, float]:
    return {axis: chooser.uniform(-5, 5) for axis in "xyz"}


def _file(chooser: random.Random, job_id: UUID, name: str) -> dict[str, Any]:
    digest = hashlib.sha256(f"{job_id}/{name}".encode()).hexdigest()
    key = naming.output_key(job_id, 1, name)
    return {"key": key, "bytes": chooser.randrange(1_000, 200_000_000), "sha256": digest}
