from datetime import timedelta
from uuid import uuid4

import pytest

from api.estimate import Estimates, Measured, measure, remaining_seconds
from storage.tables import FAILED, FINISHED, QUEUED, RUNNING, Job, now

NOW = now()
SECONDS = {"extract": 10.0, "sfm": 60.0, "train": 100.0, "export": 5.0}
KNOWN = Measured(
    step_seconds={"extract": 10.0, "sfm": 60.0, "train": 0.01, "export": 5.0}, typical_seconds=175.0, running=1,
    next_free_seconds=40.0,
)  # fmt: skip


def job(**values) -> Job:
    values = {"training_num_steps": 10_000, **values}
    return Job(account_id=uuid4(), title="t", blob_name="b", source_key="k", **values)


def test_nothing_is_said_when_nothing_is_known():
    assert remaining_seconds(job(state=QUEUED, queue_position=1), Measured(), NOW) is None
    assert remaining_seconds(job(state=RUNNING, step="extract"), Measured(), NOW) is None
    assert remaining_seconds(job(state=QUEUED), KNOWN, NOW) is None


@pytest.mark.parametrize("state", [FINISHED, FAILED])
def test_an_ended_job_has_nothing_left(state):
    assert remaining_seconds(job(state=state), KNOWN, NOW) is None


def test_the_jobs_own_pace_counts_for_the_step_at_work():
    started = NOW - timedelta(seconds=30)
    at_work = job(state=RUNNING, step="train", step_started_at=started, step_done=2_500, step_total=10_000)
    assert remaining_seconds(at_work, KNOWN, NOW) == 90 + 5
    alone = job(state=RUNNING, step="train", step_started_at=started, step_done=5_000, step_total=10_000)
    assert remaining_seconds(alone, Measured(), NOW) == 30


def test_without_a_pace_the_median_counts_and_is_never_below_zero():
    early = job(state=RUNNING, step="sfm", step_started_at=NOW - timedelta(seconds=20))
    assert remaining_seconds(early, KNOWN, NOW) == 40 + 100 + 5
    late = job(state=RUNNING, step="sfm", step_started_at=NOW - timedelta(seconds=500))
    assert remaining_seconds(late, KNOWN, NOW) == 105


def test_only_steps_that_the_job_asks_for_count():
    known = Measured(step_seconds={**KNOWN.step_seconds, "mask": 30.0, "scale": 2.0, "mesh": 20.0, "turntable": 7.0})
    plain = {"state": RUNNING, "step": "extract", "step_started_at": NOW}
    assert remaining_seconds(job(**plain), known, NOW) == 10 + 60 + 100 + 5
    asks = job(**plain, remove_background=True, apriltag_size_mm=50.0, mesh=True, turntable={"seconds": 6.0})
    assert remaining_seconds(asks, known, NOW) == 10 + 30 + 60 + 2 + 100 + 20 + 7 + 5


def test_training_scales_with_its_steps():
    short, long = (job(state=RUNNING, step="train", training_num_steps=steps) for steps in (100, 100_000))
    assert remaining_seconds(short, KNOWN, NOW) == 1 + 5
    assert remaining_seconds(long, KNOWN, NOW) == 1000 + 5


def test_a_queued_job_waits_for_those_ahead():
    first, third = (job(state=QUEUED, queue_position=place) for place in (1, 3))
    assert remaining_seconds(first, KNOWN, NOW) == 40 + 175
    assert remaining_seconds(third, KNOWN, NOW) == 40 + 2 * 175 + 175


def test_measures_medians():
    finished = [
        job(step_seconds={**SECONDS, "sfm": value}, quality=None) for value in (50.0, 60.0, 1000.0)
    ]  # fmt: skip
    finished.append(job(quality={"step_seconds": SECONDS}))
    measured = measure(finished, [], NOW)
    assert measured.step_seconds == {"extract": 10.0, "sfm": 60.0, "train": 0.01, "export": 5.0}
    assert (measured.typical_seconds, measured.running, measured.next_free_seconds) == (175.0, 0, 0.0)
    running = [job(state=RUNNING, step="export"), job(state=RUNNING, step="train")]
    assert measure(finished, running, NOW).next_free_seconds == 5.0


def test_reads_the_database(site):
    estimates = Estimates(site.database)
    first, second = site.submit(training_num_steps=10_000), site.submit(training_num_steps=10_000)
    site.set(first["job_id"], state=FINISHED, step_seconds=SECONDS, finished_at=now())
    site.set(second["job_id"], queue_position=1)
    estimates.refresh()
    assert estimates.of(job(state=QUEUED, queue_position=1)) == 175
