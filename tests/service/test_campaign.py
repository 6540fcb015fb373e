"""Every part killed at every stage, with the settings that a user gets; hosts that freeze, groups that go down, runs that people
end in Prefect. What is measured goes into a table."""

import signal
import time
from contextlib import suppress

import httpx
import psutil
import pytest

from tests.service import processes
from tests.service.conftest import Submit
from tests.service.kill import carried_out, check_files
from tests.service.table import Table
from tests.service.watched import Watched, as_json, prefect
from tests.support.group import Group

pytestmark = pytest.mark.campaign
LONG = 5000  # steps: enough for a checkpoint after 20 s, and for a good deal of training after it
NOTICED_WITHIN_SECONDS = 120
PREFECT_AWAY_SECONDS = 600.0
STOPPED_WITHIN_SECONDS = 10
TARGETS = ("flow", "host", "worker", "prefect", "api", "dispatcher")
NAMES = {"flow": "flow process", "host": "worker and flow at once", "prefect": "Prefect server", "api": "API"}
STAGES = {"sfm": "SfM", "train": "training"}


@pytest.mark.parametrize("step", STAGES)
@pytest.mark.parametrize("target", TARGETS)
def test_one_part(default_group: Group, submit: Submit, table: Table, target: str, step: str) -> None:
    dies = target in ("flow", "host")
    job = submit(default_group, training_num_steps=LONG if dies and step == "train" else 300)
    job.until_step(step)
    if dies and step == "train":
        job.until_checkpoint()
    outcome = carried_out(default_group, job, target)
    assert outcome.attempts == (2 if dies else 1)
    assert outcome.noticed < NOTICED_WITHIN_SECONDS
    if dies and step == "train":
        assert outcome.went_on, "the training began anew"
    table.add(
        NAMES.get(target, target),
        STAGES[step],
        outcome.status,
        noticed=outcome.noticed,
        attempts=outcome.attempts,
        again=", ".join(outcome.again) or "none",
        went_on=outcome.went_on if dies and step == "train" else None,
        seconds=outcome.seconds,
    )


@pytest.mark.parametrize("moment", ["just accepted", *STAGES])
def test_everything(default_group: Group, submit: Submit, table: Table, moment: str) -> None:
    """A machine without power, then `up` again in the same folder."""
    job = submit(default_group, training_num_steps=LONG if moment == "train" else 300)
    if moment in STAGES:
        job.until_step(moment)
    if moment == "train":
        job.until_checkpoint()
    before, made = job.objects(), job.made()
    begun = time.monotonic()
    processes.kill_everything(default_group)
    default_group.start()
    detail = job.ended()
    assert detail["status"] == "Finished", as_json(detail)
    check_files(job)
    assert before.items() <= {**job.objects(), **{key: before[key] for key in before if "previews/" in key}}.items()
    again = [step for step, times in made.items() if times and job.made()[step] > times]
    assert not again
    row = job.row()
    went_on = job.training_began_at(row["attempt"]) if moment == "train" else None
    assert moment != "train" or went_on
    table.add(
        "supervisor and all parts, then `up`",
        STAGES.get(moment, "the moment after the 201"),
        detail["status"],
        attempts=row["attempt"],
        went_on=went_on,
        seconds=time.monotonic() - begun,
    )


def test_a_frozen_host_that_wakes_writes_nothing(default_group: Group, submit: Submit, table: Table) -> None:
    job = submit(default_group, training_num_steps=1200)
    job.until_step("train")
    made = job.made()
    frozen = [processes.part(default_group, "worker"), *processes.of_run(default_group, job.run_id)]
    second = processes.another_worker(default_group)
    begun = time.monotonic()
    try:
        processes.send(frozen, signal.SIGSTOP)
        job.until_attempt(2, NOTICED_WITHIN_SECONDS)
        noticed = time.monotonic() - begun
        detail = job.ended()
        assert detail["status"] == "Finished", as_json(detail)
        seconds = time.monotonic() - begun
        check_files(job)
        objects, row = job.objects(), job.row()
        assert row["attempt"] == 2
        processes.send(frozen, signal.SIGCONT)
        processes.wait_for(lambda: not any(map(_alive, frozen[1:])), 90, "the late run did not end")
        time.sleep(3)
        assert job.objects() == objects
        assert job.row() == row
        assert not job.folder.exists()
    finally:
        processes.send(frozen, signal.SIGCONT)
        second.terminate()
        second.wait(timeout=30)
    assert job.made()["sfm"] == made["sfm"] == 1
    table.add(
        "host frozen, woken after attempt 2 had finished: wrote nothing",
        "training",
        detail["status"],
        noticed=noticed,
        attempts=2,
        went_on=job.training_began_at(2),
        seconds=seconds,
    )


def test_down_and_up(default_group: Group, submit: Submit, table: Table) -> None:
    job = submit(default_group, training_num_steps=LONG)
    job.until_step("train")
    time.sleep(4)
    begun = time.monotonic()
    default_group.command("down", "--data", str(default_group.data), timeout=90)
    default_group.start()
    assert job.row()["crashes"] == 0
    detail = job.ended()
    assert detail["status"] == "Finished", as_json(detail)
    row = job.row()
    assert row["crashes"] == 0
    assert job.made()["sfm"] == 1
    went_on = job.training_began_at(row["attempt"])
    assert went_on, "the training began anew"
    check_files(job)
    table.add(
        "nothing: `down`, then `up`; no crash was counted",
        "training",
        detail["status"],
        attempts=row["attempt"],
        went_on=went_on,
        seconds=time.monotonic() - begun,
    )


@pytest.mark.timeout(1800)
def test_prefect_away_for_minutes(default_group: Group, submit: Submit, table: Table) -> None:
    """The run goes on, finishes its job, and says so to Prefect when that is back; the next job is taken then."""
    job = submit(default_group, training_num_steps=LONG)
    job.until_step("train")
    begun = time.monotonic()
    with processes.held_down(default_group, "prefect"):
        detail = job.ended()
        assert detail["status"] == "Finished", as_json(detail)
        seconds = time.monotonic() - begun
        time.sleep(max(0.0, PREFECT_AWAY_SECONDS - seconds))
    away = time.monotonic() - begun
    check_files(job)
    row = job.row()
    assert (row["attempt"], row["crashes"]) == (1, 0)
    assert set(job.made().values()) == {1}

    def completed() -> bool:
        with suppress(httpx.HTTPError):
            return prefect(default_group, "GET", f"/flow_runs/{job.run_id}")["state"]["type"] == "COMPLETED"
        return False

    processes.wait_for(completed, 120, "the run did not say that it had ended")
    told = time.monotonic() - begun - away
    assert told < 30, "the run's place at the worker was taken for longer than need be"
    table.add(
        f"Prefect server, kept away for {away:.0f} s, until after the job's end; the run told it {told:.0f} s later",
        "training",
        detail["status"],
        seconds=seconds,
    )
    assert submit(default_group).ended()["status"] == "Finished"


@pytest.mark.parametrize("step", STAGES)
def test_cancel(default_group: Group, submit: Submit, table: Table, step: str) -> None:
    job = submit(default_group, training_num_steps=LONG)
    job.until_step(step)
    run = processes.of_run(default_group, job.run_id)
    assert any(map(_alive, run[1:]))
    begun = time.monotonic()
    assert job.api.post(f"jobs/{job.id}/cancel/").json()["error_code"] == "cancelled"
    processes.wait_for(lambda: not any(map(_alive, run[1:])), STOPPED_WITHIN_SECONDS, "the step went on")
    stopped = time.monotonic() - begun
    processes.wait_for(lambda: not any(map(_alive, run)), 40, "the run went on")
    seconds = time.monotonic() - begun
    table.add(
        f"nothing: cancelled by its owner; its step ended after {stopped:.1f} s",
        STAGES[step],
        "Failed (cancelled)",
        seconds=seconds,
    )


def test_cancelled_in_prefect(default_group: Group, submit: Submit, table: Table) -> None:
    job = submit(default_group, training_num_steps=LONG)
    job.until_step("train")
    run = processes.of_run(default_group, job.run_id)
    assert any(map(_alive, run[1:]))
    begun = time.monotonic()
    _set_state(default_group, job, "CANCELLING")
    processes.wait_for(lambda: not any(map(_alive, run[1:])), STOPPED_WITHIN_SECONDS, "the training went on")
    stopped = time.monotonic() - begun
    detail = job.ended()
    assert (detail["status"], detail["error_code"]) == ("Failed", "cancelled")
    table.add(
        f"nothing: cancelled by a person in Prefect; its step ended after {stopped:.1f} s",
        "training",
        "Failed (cancelled)",
        seconds=time.monotonic() - begun,
    )


def test_a_queued_run_cancelled_or_deleted_in_prefect(default_group: Group, submit: Submit, table: Table) -> None:
    at_work = submit(default_group, training_num_steps=LONG)
    at_work.until_step("sfm")
    cancelled, deleted = submit(default_group), submit(default_group)
    begun = time.monotonic()
    _set_state(default_group, cancelled, "CANCELLED")
    prefect(default_group, "DELETE", f"/flow_runs/{deleted.run_id}")
    detail = cancelled.ended()
    assert (detail["status"], detail["error_code"]) == ("Failed", "cancelled")
    assert deleted.ended()["status"] == "Not found"
    seconds = time.monotonic() - begun
    retried = deleted.api.post(f"jobs/{deleted.id}/retry/")
    assert retried.status_code == 200, retried.text
    assert at_work.api.post(f"jobs/{at_work.id}/cancel/").status_code == 200
    processes.wait_for(lambda: deleted.detail()["status"] != "Not found", 30, "the retry was not taken")
    assert deleted.ended()["status"] == "Finished"
    table.add("nothing: run cancelled by a person in Prefect", "the queue", "Failed (cancelled)", seconds=seconds)
    table.add(
        "nothing: run deleted by a person in Prefect", "the queue", "Not found; Finished after a retry", attempts=2
    )


def _set_state(group: Group, job: Watched, state: str) -> None:
    prefect(group, "POST", f"/flow_runs/{job.run_id}/set_state", {"state": {"type": state}})


def _alive(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
