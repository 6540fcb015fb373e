"""A training is made smaller where memory does not suffice, the job is told, and every later attempt trains the same."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from storage import naming
from storage.database import Database
from storage.local import LocalStore
from tasks.errors import OutOfMemory
from tasks.service.reference import StepReference
from tasks.service.run import JobRun
from tasks.train.memory import LEAST_GAUSSIANS, LEAST_SIDE_PX
from tasks.train.task import asked_of, fit, fit_after, identity, options_of
from tests.support.databases import job_row

POSED = StepReference(
    step="sfm", digest="p" * 64, key="jobs/x/p.tar", bytes=1, record={}, seconds=1.0, peak_memory_bytes=1
)
GB = 10**9


@pytest.fixture
def posed(job_run: JobRun) -> Path:
    """Twelve views of 1600x900 on this machine."""
    images = job_run.folder / POSED.step / POSED.digest / "images"
    images.mkdir(parents=True)
    for number in range(12):
        Image.fromarray(np.zeros((900, 1600, 3), np.uint8)).save(images / f"{number}.jpg")
    return images


def limited(run: JobRun, limit: int) -> JobRun:
    run.settings = run.settings.model_copy(update={"memory_limit_bytes": limit})
    return run


@pytest.mark.usefixtures("posed")
def test_what_fits_stays(job_run: JobRun, sqlite_database: Database):
    before = identity(job_run, POSED)
    fit(limited(job_run, 100 * GB), POSED)
    assert options_of(job_run) == asked_of(job_run)
    assert identity(job_run, POSED) == before
    assert job_row(sqlite_database, job_run.job_id).warnings == []


@pytest.mark.usefixtures("posed")
def test_what_does_not_fit_is_made_smaller_once_for_all_attempts(job_run: JobRun, sqlite_database: Database):
    before = identity(job_run, POSED)
    fit(limited(job_run, GB), POSED)
    job = job_row(sqlite_database, job_run.job_id)
    assert job.fitted == job_run.job.fitted > 0
    assert options_of(job_run).max_gaussians < asked_of(job_run).max_gaussians
    assert identity(job_run, POSED) != before
    (warning,) = job.warnings
    assert warning["code"] == "fitted"
    assert "1.0 GB" in warning["message"]
    assert f"{options_of(job_run).max_gaussians:,} Gaussians instead of 1,000,000" in warning["message"]
    fit(limited(job_run, 100 * GB), POSED)
    assert job_row(sqlite_database, job_run.job_id).fitted == job.fitted, "a larger machine goes on with the same"


@pytest.mark.usefixtures("posed")
def test_what_can_not_fit_is_refused_before_it_begins(job_run: JobRun, sqlite_database: Database):
    with pytest.raises(OutOfMemory, match="12 pictures of 1600x900"):
        fit(limited(job_run, GB // 5), POSED)
    assert job_row(sqlite_database, job_run.job_id).fitted == 0


@pytest.mark.usefixtures("posed")
def test_what_another_machine_has_finished_is_not_fitted(job_run: JobRun, objects: LocalStore):
    objects.put_bytes(naming.step_key(job_run.job_id, "train", identity(job_run, POSED)), b"x")
    fit(limited(job_run, GB // 5), POSED)
    assert job_run.job.fitted == 0


def test_pictures_that_can_not_be_read_are_the_trainings_to_tell(job_run: JobRun):
    images = job_run.folder / POSED.step / POSED.digest / "images"
    images.mkdir(parents=True)
    fit(limited(job_run, GB), POSED)
    (images / "x.jpg").write_text("no picture")
    fit(limited(job_run, GB), POSED)
    assert job_run.job.fitted == 0


def test_after_running_out_it_is_made_smaller_until_it_is_the_least(job_run: JobRun, sqlite_database: Database):
    seen = [options_of(job_run)]
    while fit_after(job_run, OutOfMemory("too little")):
        seen.append(options_of(job_run))
    assert len(seen) == len(set(seen)) > 3
    assert (seen[-1].max_gaussians, seen[-1].train_side_px) == (LEAST_GAUSSIANS, LEAST_SIDE_PX)
    assert job_row(sqlite_database, job_run.job_id).fitted == len(seen) - 1
