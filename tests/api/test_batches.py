"""Batches over HTTP: what is refused, what a dry run says, and who sees what."""

import json
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlmodel import col

from api.batch_schemas import BatchRequest
from api.errors import ApiError
from api.schemas import SubmitRequest
from storage import batch_work, naming
from storage.tables import Job, now
from tests.api.test_bodies import JSON

SECONDS = {"extract": 10.0, "sfm": 20.0, "train": 100.0, "export": 5.0}
MORE = {"jobs": {}, "set": {"training_num_steps": 200}}


def finished(site, *, key=None, **fields):
    job_id = site.submit(key=key, training_num_steps=100, **fields)["job_id"]
    site.finish(job_id, ply=b"ply")
    site.set(job_id, step_seconds=SECONDS)
    for step in ("extract", "sfm", "train"):
        site.store.put_bytes(naming.step_key(UUID(job_id), step, "d"), b"tar")
    return job_id


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({}, "jobs", "jobs is required; {} stands for all finished jobs."),
        ({"jobs": {"state": "x"}}, "jobs.state", "jobs.state is not a field that can be sent here."),
        ({"jobs": {"status": "queued"}}, "jobs.status", 'Invalid status. Must be "finished" or "failed".'),
        ({"jobs": {"older_than_days": "30"}}, "jobs.older_than_days", "jobs.older_than_days must be a finite number."),
        ({"jobs": {"job_ids": ["x"]}}, "jobs.job_ids.0", "jobs.job_ids.0 must be the id of a job."),
        ({"jobs": {"job_ids": []}}, "jobs.job_ids", "jobs.job_ids must have 1 to 5000 ids."),
        ({"jobs": {}, "set": {"title": "x"}}, "set.title", "set.title is not a field that can be sent here."),
        (
            {"jobs": {}, "set": {"training_num_steps": 99}},
            "set.training_num_steps",
            "set.training_num_steps must be at least 100.",
        ),
        (
            {"jobs": {}, "set": {"training_num_steps": None}},
            "set.training_num_steps",
            "set.training_num_steps must be an integer.",
        ),
        ({"jobs": {}, "at_once": 0}, "at_once", "at_once must be at least 1."),
        ({"jobs": {}, "hours": "22-6"}, "hours", 'hours must be hours such as "22:00-06:00".'),
        (
            {"jobs": {}, "time_zone": "../../etc/passwd"},
            "time_zone",
            "time_zone must be a time zone such as Europe/Berlin or UTC.",
        ),
        ({"jobs": {}, "rule": "worse"}, "rule", 'Invalid rule. Must be "better", "always" or "never".'),
        ({"jobs": {}, "dry_run": 1}, "dry_run", "dry_run must be true or false."),
        ({"jobs": {}, "x": 1}, "x", "x is not a field that can be sent here."),
    ],
)
def test_what_can_not_be_is_refused(site, body, field, message):
    answer = site.call("POST", "batches/", json=body)
    assert (answer.status_code, answer.json()) == (400, {"error": message, "code": "bad_value", "field": field})


@given(st.dictionaries(st.sampled_from([*BatchRequest.model_fields, "x"]), JSON))
@settings(max_examples=100)
def test_a_body_is_read_or_refused(body):
    try:
        spec = BatchRequest.read(body).row()
    except ApiError as refused:
        error = refused
    else:
        json.dumps(spec)
        return
    assert error.status == 400
    assert error.field


def test_options_have_the_ranges_of_a_submit():
    ours = BatchRequest.model_json_schema()["$defs"]["JobOptions"]["properties"]
    theirs = SubmitRequest.model_json_schema()["properties"]
    limits = ("minimum", "maximum", "anyOf", "type")
    for name, schema in ours.items():
        if name != "turntable":
            assert {k: schema.get(k) for k in limits} == {k: theirs[name].get(k) for k in limits}, name
    definitions = (m.model_json_schema()["$defs"] for m in (BatchRequest, SubmitRequest))
    ours, theirs = (d[n]["properties"] for d, n in zip(definitions, ("Turntable", "TurntableRequest"), strict=True))
    kept = ("minimum", "maximum", "enum", "type", "default")
    assert {n: [s.get(k) for k in kept] for n, s in ours.items()} == {
        n: [s.get(k) for k in kept] for n, s in theirs.items()
    }


def test_a_dry_run_says_what_would_be_done_and_does_nothing(site):
    first, second = finished(site, title="kitchen"), finished(site, title="hall", remove_background=True)
    site.set(second, step_seconds={})
    site.submit(title="waits")
    finished(site, key=site.new_key("bob"))
    body = {**MORE, "dry_run": True, "at_once": 2}
    told = site.call("POST", "batches/", json=body).json()
    assert (told["dry_run"], told["total"], told["skipped"]) == (True, 2, 0)
    assert [item["job_id"] for item in told["items"]] == [first, second]
    assert told["items"][0]["steps_reused"] == ["extract", "sfm"]
    assert told["items"][0]["steps_run"] == ["train", "export"]
    assert told["items"][0]["estimated_seconds"] == 205
    assert "mask" in told["items"][1]["steps_run"], "the store has none"
    assert site.call("GET", "batches/").json() == []
    assert site.call("GET", f"jobs/{first}/").json()["reprocessing"] is None

    def steps(**change):
        answer = site.call("POST", "batches/", json={"jobs": {"title": "kit*"}, "set": change, "dry_run": True}).json()
        return [(item["skipped"], item["steps_run"]) for item in answer["items"]]

    assert steps(mesh=True) == [(None, ["mesh", "export"])]
    assert steps(apriltag_size_mm=100.0) == [(None, ["scale", "export"])]
    assert steps(remove_background=True) == [(None, ["mask", "sfm", "train", "export"])]
    assert steps(max_frames=20) == [(None, ["extract", "sfm", "train", "export"])]
    assert steps() == [(None, ["export"])]
    assert steps(training_num_steps=100) == [("It was made with these options already.", [])]


def test_a_batch_from_its_making_to_its_cancellation(site):
    first, second = finished(site, title="a"), finished(site, title="b")
    made = site.call("POST", "batches/", json={**MORE, "hours": "22:00-06:00"}, headers={"Idempotency-Key": "k"})
    assert made.status_code == 201
    batch = made.json()
    assert (batch["state"], batch["counts"]["waiting"], batch["set"]) == ("running", 2, {"training_num_steps": 200})
    again = site.call("POST", "batches/", json={**MORE, "hours": "22:00-06:00"}, headers={"Idempotency-Key": "k"})
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (batch, "true")
    other = site.call("POST", "batches/", json=MORE, headers={"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")

    night = now().replace(hour=23)
    batch_work.advance(site.database, site.store, UUID(batch["batch_id"]), moment=night)
    detail = site.call("GET", f"jobs/{first}/").json()
    assert detail["status"] == "Finished"
    assert detail["reprocessing"] == {
        "batch_id": batch["batch_id"], "state": "queued", "percent": None, "started_at": None
    }  # fmt: skip
    path = f"batches/{batch['batch_id']}/"
    page = site.call("GET", path, params={"limit": 1, "offset": 1})
    assert page.headers["X-Total-Count"] == "2"
    (item,) = page.json()["items"]
    assert (item["job_id"], item["title"], item["state"], item["after"]) == (second, "b", "waiting", None)
    listed = site.call("GET", "batches/")
    assert [one["batch_id"] for one in listed.json()] == [batch["batch_id"]]

    cancelled = site.call("POST", f"{path}cancel/").json()
    assert cancelled["state"] == "cancelled"
    batch_work.settle(site.database)
    assert site.call("GET", path).json()["counts"]["skipped"] == 2
    assert site.call("GET", f"jobs/{first}/").json()["reprocessing"] is None
    assert site.call("POST", f"{path}cancel/").json()["code"] == "wrong_state"


def test_a_batch_and_its_tries_are_nobody_elses_and_no_jobs(site):
    job_id, bob = finished(site), site.new_key("bob")
    batch = site.call("POST", "batches/", json=MORE).json()
    batch_work.advance(site.database, site.store, UUID(batch["batch_id"]))
    with site.database.read() as session:
        shadow = session.scalars(select(Job).where(col(Job.reprocess_of) == UUID(job_id))).one()
    for method, path in (("GET", f"batches/{batch['batch_id']}/"), ("POST", f"batches/{batch['batch_id']}/cancel/")):
        assert site.call(method, path, key=bob).json()["code"] == "batch_not_found"
    assert site.call("GET", "batches/", key=bob).json() == []
    assert [job["job_id"] for job in site.call("GET", "jobs/").json()] == [job_id]
    assert site.call("GET", f"jobs/{shadow.id}/").status_code == 404
    assert site.call("DELETE", f"jobs/{shadow.id}/").status_code == 404
    assert site.client.get(f"/scenes/{shadow.id}").status_code == 404
    assert site.call("GET", "account/").json()["usage"]["jobs"] == 1
    assert 'splatflow_jobs{state="queued"} 0.0' in site.client.get("/metrics").text
    assert site.call("POST", "batches/", key=site.new_key("reader", scope="read"), json=MORE).status_code == 403
