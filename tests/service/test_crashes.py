"""Parts of a group are killed while a job is at work: it finishes all the same, without doing finished steps again."""

import time

from tests.service import processes
from tests.service.conftest import Submit
from tests.service.kill import answers, carried_out, check_files, kill
from tests.service.watched import at_rest, everything
from tests.support.group import Group

STOPPED_WITHIN_SECONDS = 10
GONE_WITHIN_SECONDS = 120


def test_a_killed_run_costs_no_finished_step(group: Group, submit: Submit) -> None:
    """A whole host that dies is in `test_fault_matrix`; every part at every stage in `test_campaign`."""
    job = submit(group)
    job.until_step("train")
    outcome = carried_out(group, job, "flow")
    assert outcome.attempts == 2
    assert outcome.noticed < 60


def test_cancel_stops_a_training_retry_goes_on_and_delete_leaves_nothing(group: Group, submit: Submit) -> None:
    before = at_rest(group)
    job = submit(group, training_num_steps=3000)
    job.until_step("train")
    steps = processes.steps_of_run(group, job.run_id)
    assert steps
    begun = time.monotonic()
    cancelled = job.api.post(f"jobs/{job.id}/cancel/").json()
    assert (cancelled["status"], cancelled["error_code"]) == ("Failed", "cancelled")
    processes.wait_for(
        lambda: not any(step.is_running() for step in steps), STOPPED_WITHIN_SECONDS, "the training went on"
    )
    print(f"stopped after {time.monotonic() - begun:.1f} s")
    stored = job.objects()

    assert job.api.post(f"jobs/{job.id}/retry/").json()["status"] == "Queued"
    job.until_step("train")
    assert stored.items() <= job.objects().items()
    assert job.made()["sfm"] == 1

    run = processes.of_run(group, job.run_id)
    begun = time.monotonic()
    assert job.api.request("DELETE", f"jobs/{job.id}/").status_code == 204
    assert job.api.get(f"jobs/{job.id}/").status_code == 404
    processes.wait_for(
        lambda: not any(process.is_running() for process in run), STOPPED_WITHIN_SECONDS + 20, "the run went on"
    )
    processes.wait_for(
        lambda: everything(group) == before,
        GONE_WITHIN_SECONDS,
        lambda: str(
            {name: (value, before[name]) for name, value in everything(group).items() if value != before[name]}
        ),
    )
    print(f"gone after {time.monotonic() - begun:.1f} s")


def test_the_api_killed_and_prefect_away_until_the_end_cost_nothing(group: Group, submit: Submit) -> None:
    job = submit(group)
    job.until_step("sfm")
    assert kill(group, job, "api") < 60
    processes.wait_for(lambda: answers(job), processes.READY, "the API did not come back")
    job.until_step("train")
    before = {key: stamp for key, stamp in job.objects().items() if key.startswith("steps/")}
    with processes.held_down(group, "prefect"):
        detail = job.ended()
    assert detail["status"] == "Finished", detail
    check_files(job)
    assert job.row()["attempt"] == 1
    assert set(job.made().values()) == {1}
    assert before.items() <= job.objects().items(), "a stored step was written again"
