"""/metrics: what rows say now, what they have counted, and what is said when they can't be read."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed
from sqlalchemy import update

from api import estimate
from api.app import create_app
from api.metrics_rows import STILL_SECONDS, Pulse
from api.metrics_tally import TallyCollector
from storage import jobs, ledger, measures, tally
from storage.attempts import claim
from storage.database import DatabaseUnavailable
from storage.leadership import Leadership
from storage.tables import DELETE, Outbox, Tally, now
from tests.api.site import V1, TestClient

SECRET_TEXTS = ("a title nobody may see", "ann")


def samples(site) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by name and by values of the labels, which come in the order of their names."""
    site.app.state.service.metrics.forget_reading()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in parsed(site.client.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def run(site, job_id: str):
    """An attempt at work at a job, as a flow would be."""
    return claim(site.database, UUID(job_id), uuid4(), 1)


def test_a_job_leaves_its_figures_and_no_name(site):
    job = site.submit(title=SECRET_TEXTS[0])["job_id"]
    waiting = samples(site)
    assert waiting["splatflow_jobs"]["queued",] == 1
    assert waiting["splatflow_leases_held"][()] == waiting["splatflow_slots_held"][()] == 0
    attempt = run(site, job)
    attempt.take_slot(["host/cpu"])
    at_work = samples(site)
    assert at_work["splatflow_leases_held"][()] == at_work["splatflow_slots_held"][()] == 1
    attempt.end_step("train", 45.0, made=True, device="cuda")
    attempt.finish(files={}, quality={}, scale=None)
    ledger.tell(site.database, ledger.read(site.database, site.store))
    ended = samples(site)
    assert ended["splatflow_jobs_ended_total"]["finished",] == 1
    assert ended["splatflow_jobs_ended_total"]["failed",] == 0, "a counter is there before its first event"
    assert ended["splatflow_queue_wait_seconds_count"]["start",] == 1
    assert ended["splatflow_step_seconds_sum"]["cuda", "train"] == 45
    assert ended["splatflow_step_seconds_bucket"]["cuda", "30.0", "train"] == 0
    assert ended["splatflow_step_seconds_bucket"]["cuda", "60.0", "train"] == 1
    assert ended["splatflow_step_seconds_bucket"]["cuda", "+Inf", "train"] == 1
    assert ended["splatflow_store_bytes"]["uploads",] == len(b"video")
    assert ended["splatflow_database_up"][()] == 1
    assert list(ended["splatflow_build_info"].values()) == [1]
    site.call("DELETE", f"jobs/{job}/")
    assert samples(site)["splatflow_jobs_ended_total"] == ended["splatflow_jobs_ended_total"]
    text = site.client.get("/metrics").text
    assert not [secret for secret in (job, *SECRET_TEXTS) if secret in text]


def test_a_job_that_waits_for_its_turn_is_not_late_but_a_refused_start_and_a_removal_are(site):
    site.submit()
    long_ago = now() - timedelta(hours=1)
    with site.database.write() as session:
        session.execute(update(Outbox).values(created_at=long_ago))
    assert samples(site)["splatflow_outbox_entries"][()] == 1
    assert samples(site)["splatflow_outbox_oldest_seconds"][()] == 0
    for values in ({"tries": 1}, {"tries": 0, "kind": DELETE}):
        with site.database.write() as session:
            session.execute(update(Outbox).values(**values))
        assert samples(site)["splatflow_outbox_oldest_seconds"][()] == pytest.approx(3600, abs=60)


def test_codes_are_known_ones(site):
    for code in ("too_few_frames", "anything a client could make up"):
        run(site, site.submit()["job_id"]).fail(error_code=code, error_message="")
    found = samples(site)["splatflow_job_failures_total"]
    assert {labels[0] for labels, value in found.items() if value} == {"too_few_frames", "other"}
    assert len(found) == len(measures.SLUGS) + 1


def test_every_api_tells_the_same_and_a_new_one_too(site):
    job = site.submit()["job_id"]
    site.call("POST", f"jobs/{job}/cancel/")
    mine = samples(site)
    site.app = create_app(site.settings, site.database, site.store)
    site.client = TestClient(site.app, follow_redirects=False)
    other = samples(site)
    for name in ("splatflow_jobs_ended_total", "splatflow_step_seconds_bucket", "splatflow_jobs"):
        assert mine[name] == other[name]
    assert other["splatflow_jobs_ended_total"]["cancelled",] == 1


def test_a_database_that_is_away_is_told_with_the_rest(site, monkeypatch):
    assert samples(site)["splatflow_database_up"][()] == 1

    def away():
        raise DatabaseUnavailable("It is away.")

    monkeypatch.setattr(site.database, "read", away)
    found = samples(site)
    assert found["splatflow_database_up"][()] == 0
    assert "splatflow_jobs" not in found
    assert "splatflow_http_request_seconds_count" in found
    monkeypatch.undo()
    assert "splatflow_jobs" in samples(site)


def test_a_leader_lives_while_its_beat_moves(site):
    assert samples(site)["splatflow_dispatcher_alive"][()] == 0
    leader = Leadership(site.database, patience_seconds=8)
    leader.held(0.0)
    assert samples(site)["splatflow_dispatcher_alive"][()] == 1
    leader.resign()
    assert samples(site)["splatflow_dispatcher_alive"][()] == 0
    clock = [100.0]
    pulse = Pulse(lambda: clock[0])
    assert pulse.alive((1, 1)), "at the first look nothing is known to the contrary"
    clock[0] += STILL_SECONDS - 1
    assert pulse.alive((1, 1))
    clock[0] += 1
    assert not pulse.alive((1, 1))
    assert pulse.alive((1, 2))
    assert not pulse.alive(None)


def test_buckets_of_an_older_version_still_count(site):
    with site.database.write() as session:
        session.add(Tally(name=measures.WAIT.name, labels='["start"]', part="2.5", value=3))
        session.add(Tally(name=measures.WAIT.name, labels='["start", "of another shape"]', part="1.0", value=1))
        tally.add(session, measures.WAIT.of(0.5, kind="start"), measures.WAIT.of(10**6, kind="start"))
    collector = TallyCollector()
    with site.database.read() as session:
        collector.read(session)
    (metric,) = [metric for metric in collector.collect() if metric.name == measures.WAIT.name]
    buckets = {
        sample.labels["le"]: sample.value
        for sample in metric.samples
        if sample.name.endswith("_bucket") and sample.labels["kind"] == "start"
    }
    assert (buckets["1.0"], buckets["2.5"], buckets["3.0"], buckets["43200.0"], buckets["+Inf"]) == (1, 4, 4, 4, 5)
    assert list(buckets.values()) == sorted(buckets.values())


@pytest.mark.parametrize("state", ["queued", "running", "finished", "failed", "lost"])
def test_jobs_by_state(site, state):
    site.set(site.submit()["job_id"], state=state, queued_at=now())
    found = samples(site)["splatflow_jobs"]
    assert {labels[0] for labels, value in found.items() if value} == {state}


def test_every_step_that_estimates_know_is_counted_by_name():
    assert set(measures.STEPS) == set(estimate.STEPS)
    assert set(measures.STEPS_ON_A_GPU) <= set(measures.STEPS)


def test_tries_at_a_better_result_are_no_jobs(site):
    job, shadow = site.submit()["job_id"], site.submit()["job_id"]
    site.finish(job)
    site.set(shadow, reprocess_of=UUID(job), queued_at=now() - timedelta(hours=1))
    found = samples(site)
    assert {labels[0] for labels, value in found["splatflow_jobs"].items() if value} == {"finished"}
    assert found["splatflow_queue_oldest_seconds"][()] == 0


def test_routes_are_templates_also_for_what_nobody_knows(site):
    site.client.get("/some/unknown/path")
    site.client.request("BREW", f"{V1}/jobs/")
    found = samples(site)["splatflow_http_request_seconds_count"]
    assert ("GET", "-", "404") in found
    assert not [labels for labels in found if "unknown" in labels[1] or labels[0] == "BREW"]
    assert jobs.CANCELLED not in measures.SLUGS, "who cancels has not failed"
