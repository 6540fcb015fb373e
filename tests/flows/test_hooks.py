"""What the end of a run leaves in our database, in the run's own process and in a worker's."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from flows import hooks
from storage import jobs
from storage.attempts import Attempt
from storage.database import Database
from storage.tables import FAILED, FINISHED, QUEUED, RUNNING, START
from tasks.errors import NoParallax
from tasks.service.failures import INTERNAL, INTERNAL_MESSAGE
from tests.support.databases import FILES, job_row, outbox


@pytest.fixture(autouse=True)
def of_these_tests(monkeypatch: pytest.MonkeyPatch, sqlite_database: Database) -> None:
    monkeypatch.setattr(hooks, "database", lambda: sqlite_database)
    monkeypatch.setattr(hooks, "at_work", None)


@pytest.fixture
def flow_run(attempt: Attempt) -> Any:
    run_id = attempt.job().run_id
    return SimpleNamespace(id=run_id, parameters={"job_id": str(attempt.job_id)})


def state(error: object) -> Any:
    return SimpleNamespace(result=lambda raise_on_failure: error)


def ended(attempt: Attempt) -> tuple[str, str | None]:
    job = job_row(attempt.database, attempt.job_id)
    return job.state, job.error_code


def test_a_step_that_raised_ends_the_job_with_its_code(attempt: Attempt, flow_run: Any):
    hooks.on_failure(None, flow_run, state(NoParallax("The camera only turned; walk around.")))
    job = job_row(attempt.database, attempt.job_id)
    assert (job.state, job.error_code, job.error_message) == (
        FAILED,
        "no_parallax",
        "The camera only turned; walk around.",
    )
    assert job.lease_token is None


@pytest.mark.parametrize("error", [None, "text", RuntimeError("/a/b/secret")])
def test_a_defect_is_told_as_ours(attempt: Attempt, flow_run: Any, error: object):
    hooks.on_failure(None, flow_run, state(error))
    job = job_row(attempt.database, attempt.job_id)
    assert (job.error_code, job.error_message) == (INTERNAL, INTERNAL_MESSAGE)


def test_a_run_cancelled_in_prefect_is_a_cancelled_job(attempt: Attempt, flow_run: Any):
    hooks.on_cancellation(None, flow_run, state(None))
    assert ended(attempt) == (FAILED, jobs.CANCELLED)


@pytest.mark.parametrize("hook", [hooks.on_failure, hooks.on_cancellation])
def test_what_the_row_says_already_stays(attempt: Attempt, flow_run: Any, hook: Any):
    attempt.finish(files=FILES, quality={}, scale=None)
    hook(None, flow_run, state(RuntimeError("late")))
    assert ended(attempt) == (FINISHED, None)


@pytest.mark.parametrize("hook", [hooks.on_failure, hooks.on_cancellation])
def test_another_runs_end_is_not_the_jobs(attempt: Attempt, flow_run: Any, hook: Any):
    flow_run.id = uuid4()
    hook(None, flow_run, state(RuntimeError("other")))
    assert ended(attempt) == (RUNNING, None)


def test_a_process_that_is_asked_to_end_gives_its_job_back(
    attempt: Attempt, flow_run: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hooks, "at_work", attempt)
    hooks.on_crashed(None, flow_run, state(None))
    job = job_row(attempt.database, attempt.job_id)
    assert (job.state, job.attempt, job.crashes) == (QUEUED, 2, 0)
    assert len(outbox(attempt.database, START)) == 1
    hooks.on_crashed(None, flow_run, state(None))
    assert job_row(attempt.database, attempt.job_id).attempt == 2


def test_a_worker_leaves_a_crashed_run_to_the_dispatcher(attempt: Attempt, flow_run: Any):
    hooks.on_crashed(None, flow_run, state(None))
    assert ended(attempt) == (RUNNING, None)
    attempt.beat()


def test_a_cancelled_job_is_not_given_back(
    attempt: Attempt, flow_run: Any, account_id: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hooks, "at_work", attempt)
    jobs.cancel(attempt.database, account_id, attempt.job_id)
    hooks.on_crashed(None, flow_run, state(None))
    assert ended(attempt) == (FAILED, jobs.CANCELLED)
