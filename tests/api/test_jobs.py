"""Jobs from submit to deletion."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from storage import accounts
from storage.tables import FAILED, LOST, RUNNING, Outbox
from tests.api.site import V1

VIEW = {name: {"x": 0.0, "y": 1.0, "z": 2.5} for name in ("position", "lookAt", "up")}


def test_defaults_and_the_answer_to_submit(site):
    answer = site.submit()
    assert (answer["success"], answer["status"]) == (True, "queued")
    assert (answer["training_num_steps"], answer["training_max_num_gaussians"]) == (25_000, 1_000_000)
    assert (answer["reconstruction_method"], answer["public"], answer["remove_background"]) == ("glomap", False, False)
    assert answer["title"].endswith(".mp4")
    assert answer["warnings"] == []
    detail = site.call("GET", f"jobs/{answer['job_id']}/").json()
    assert detail == {**{k: v for k, v in answer.items() if k != "success"}, "status": "Queued"}


def test_every_option_is_kept(site):
    options = {
        "title": "Cafe\u0301", "public": True, "reconstruction_method": "COLMAP", "training_max_num_gaussians": 1000,
        "training_num_steps": 100_000, "apriltag_size_mm": 95, "remove_background": True, "camera_type": "orbital",
        "max_frames": 50, "train_side_px": 640, "mesh": True,
        "turntable": {"seconds": 2.5, "side_px": 640, "path": "orbit"}, "priority": "batch",
    }  # fmt: skip
    job = site.submit(**options)["job_id"]
    detail = site.call("GET", f"jobs/{job}/").json()
    kept = {**options, "title": "Caf\u00e9", "reconstruction_method": "colmap"}
    assert {name: detail[name] for name in kept} == kept


def test_a_turntable_is_asked_for_by_a_word_or_by_its_options(site):
    usual = {"seconds": 6.0, "side_px": 960, "path": "auto"}
    for given, kept in (
        (True, usual), (False, None), (None, None), ({}, usual), ({"path": "sway"}, {**usual, "path": "sway"}),
        ({"seconds": 1, "side_px": 160}, {**usual, "seconds": 1.0, "side_px": 160}),
        ({"seconds": 60, "side_px": 1920}, {**usual, "seconds": 60.0, "side_px": 1920}),
    ):  # fmt: skip
        answer = site.submit(turntable=given)
        assert (answer["turntable"], answer["warnings"]) == (kept, [])
        assert site.call("GET", f"jobs/{answer['job_id']}/").json()["turntable"] == kept
    assert site.submit()["turntable"] is None


def test_a_turntable_that_cannot_be_is_refused(site):
    blob = site.upload()
    one_of = "turntable must be true, false, or an object of seconds, side_px and path."
    path = 'Invalid turntable path. Must be "auto", "orbit" or "sway".'
    for given, field, message in (
        (1, "turntable", one_of), ("true", "turntable", one_of), ([], "turntable", one_of),
        ({"seconds": 0.5}, "turntable.seconds", "turntable.seconds must be at least 1.0."),
        ({"seconds": 60.5}, "turntable.seconds", "turntable.seconds must be at most 60.0."),
        ({"seconds": True}, "turntable.seconds", "turntable.seconds must be a finite number."),
        ({"seconds": None}, "turntable.seconds", "turntable.seconds must be a finite number."),
        ({"side_px": 159}, "turntable.side_px", "turntable.side_px must be at least 160."),
        ({"side_px": 1921}, "turntable.side_px", "turntable.side_px must be at most 1920."),
        ({"side_px": 640.0}, "turntable.side_px", "turntable.side_px must be an integer."),
        ({"path": "spin"}, "turntable.path", path), ({"path": True}, "turntable.path", path),
        ({"fps": 30}, "turntable.fps", "turntable.fps is not a field that can be sent here."),
    ):  # fmt: skip
        answer = site.call("POST", "submit-job/", json={"blob_name": blob, "turntable": given})
        told = answer.json()
        assert (answer.status_code, told["error"], told["field"]) == (400, message, field)


def test_what_is_not_done_is_told(site):
    told = site.submit(remove_background=True, apriltag_size_mm=50, mesh=True, wizardry=[1, 2], x=3)["warnings"]
    assert [(warning["code"], warning["field"]) for warning in told] == [
        ("not_applied", "wizardry"),
        ("not_applied", "x"),
    ]
    assert all(warning["message"].endswith(".") for warning in told)


def test_only_ones_own_uploads_that_are_there(site):
    blob = site.upload(key=site.new_key("bob"))
    never = site.call("POST", "generate-upload-url/", json={"file_extension": "mp4"}).json()["blob_name"]
    for name in (blob, never, "videos/123e4567-e89b-12d3-a456-426614174000.mp4", f"/{never}"):
        answer = site.call("POST", "submit-job/", json={"blob_name": name})
        assert (answer.status_code, answer.json()["error"]) == (400, "Blob not found")
    assert list(site.store.keys("jobs/")) == []


def test_an_upload_may_be_submitted_twice(site):
    blob = site.upload()
    jobs = [site.call("POST", "submit-job/", json={"blob_name": blob}).json()["job_id"] for _ in range(2)]
    assert jobs[0] != jobs[1]


def test_a_repeat_gets_the_first_answer(site):
    blob, headers = site.upload(), {"Idempotency-Key": "once"}
    first = site.call("POST", "submit-job/", json={"blob_name": blob, "title": "a"}, headers=headers)
    site.store.delete([blob])
    again = site.call("POST", "submit-job/", json={"title": "a", "blob_name": blob}, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    other = site.call("POST", "submit-job/", json={"blob_name": blob, "title": "b"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    for key in ("", "x" * 256, "\t", "\xe9"):
        answer = site.call(
            "POST", "submit-job/", json={"blob_name": blob}, headers={"Idempotency-Key": key.encode("latin-1")}
        )
        assert (answer.status_code, answer.json()["field"]) == (400, "Idempotency-Key"), key
    bob = site.new_key("bob")
    mine = site.call("POST", "submit-job/", key=bob, json={"blob_name": site.upload(key=bob)}, headers=headers)
    assert mine.status_code == 201
    assert len(site.rows()) == 1


def test_repeats_at_once_make_one_job_and_leave_one_source(site):
    blob = site.upload()

    def submit(_):
        return site.call("POST", "submit-job/", json={"blob_name": blob}, headers={"Idempotency-Key": "k"})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(submit, range(16)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert len(site.rows()) == 1
    assert len(list(site.store.keys("jobs/"))) == 1


def test_list(site):
    ids = [site.submit(title=f"t{n}", public=n % 2 == 0)["job_id"] for n in range(5)]
    site.set(ids[0], state=FAILED)
    site.set(ids[1], state=RUNNING)
    newest_first = [{"job_id": job, "title": f"t{n}"} for n, job in reversed(list(enumerate(ids)))]
    answer = site.call("GET", "jobs/")
    assert (answer.json(), answer.headers["X-Total-Count"]) == (newest_first, "5")
    page = site.call("GET", "jobs/?limit=2&offset=1")
    assert (page.json(), page.headers["X-Total-Count"]) == (newest_first[1:3], "5")
    for query, count in [
        ("status=queued", 3),
        ("status=processing", 1),
        ("status=failed", 1),
        ("status=finished", 0),
        ("public=true", 3),
        ("public=False", 2),
        ("status=queued&public=true", 2),
    ]:
        assert len(site.call("GET", f"jobs/?{query}").json()) == count, query
    for query in (
        "status=x",
        "status=",
        "public=1",
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=-1",
        "limit=%D9%A3",
        "offset=-1",
        "offset=9999999999999999999",
    ):
        answer = site.call("GET", f"jobs/?{query}")
        assert (answer.status_code, answer.json()["field"]) == (400, query.partition("=")[0]), query


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_changes(site, method):
    job = site.submit()["job_id"]
    path = f"jobs/{job}/"
    answer = site.call(
        method, path, json={"title": "New", "public": True, "camera_data": {**VIEW, "cameraType": "orbital"}}
    )
    assert answer.status_code == 200
    told = answer.json()
    assert (told["title"], told["public"], told["camera_data"]) == ("New", True, {**VIEW, "cameraType": "orbital"})
    site.set(job, camera_computed=VIEW)
    assert site.call(method, path, json={"camera_data": None}).json()["camera_data"] == VIEW
    assert site.call(method, path, json={}).status_code == 200
    before = site.call("GET", path).json()
    assert (
        site.call(method, path, json={**before, "success": True, "status": "Finished", "percent_complete": 3}).json()
        == before
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"titel": "x"}, "titel"),
        ({"title": None}, "title"),
        ({"title": "\u0000"}, "title"),
        ({"public": "yes"}, "public"),
        ({"camera_data": {**VIEW, "fov": 3}}, "camera_data.fov"),
        ({"camera_data": {name: VIEW[name] for name in ("position", "up")}}, "camera_data.lookAt"),
        ({"camera_data": {**VIEW, "up": {"x": 0, "y": True, "z": 0}}}, "camera_data.up.y"),
        ({"camera_data": {**VIEW, "up": {"x": 0, "y": 10**400, "z": 0}}}, "camera_data.up.y"),
        ({"camera_data": {**VIEW, "up": {"x": 0, "y": 0, "z": 0, "w": 0}}}, "camera_data.up.w"),
        ({"camera_data": {**VIEW, "cameraType": None}}, "camera_data.cameraType"),
        ({"camera_data": "up"}, "camera_data"),
    ],
)
def test_bad_changes_change_nothing(site, body, field):
    job = site.submit(title="old")["job_id"]
    answer = site.call("PATCH", f"jobs/{job}/", json={"public": True, **body})
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert site.call("GET", f"jobs/{job}/").json()["public"] is False


def test_cancel_and_retry(site):
    job = site.submit()["job_id"]
    assert site.call("POST", f"jobs/{job}/retry/").json()["code"] == "wrong_state"
    cancelled = site.call("POST", f"jobs/{job}/cancel/").json()
    assert (cancelled["status"], cancelled["error_code"]) == ("Failed", "cancelled")
    again = site.call("POST", f"jobs/{job}/cancel/")
    assert (again.status_code, again.json()["code"]) == (409, "wrong_state")
    retried = site.call("POST", f"jobs/{job}/retry/", json={})
    assert (retried.status_code, retried.json()["status"], retried.json()["error_code"]) == (200, "Queued", None)
    site.set(job, state=LOST)
    assert site.call("GET", f"jobs/{job}/").json()["status"] == "Not found"
    assert site.call("POST", f"jobs/{job}/retry/").status_code == 200


def test_delete_is_at_once(site):
    job = site.submit()["job_id"]
    assert site.call("DELETE", f"jobs/{job}/").content == b""
    for method, path in [("DELETE", ""), ("GET", ""), ("PATCH", ""), ("POST", "retry/"), ("GET", "events/")]:
        assert site.call(method, f"jobs/{job}/{path}").status_code == 404
    assert site.call("GET", "jobs/").json() == []
    with site.database.read() as session:
        assert [entry.kind for entry in session.scalars(select(Outbox))] == ["delete"]


def test_the_description_fits_what_is_served(site):
    document = site.client.get(f"{V1}/openapi.json").json()
    statuses = {
        status
        for path in document["paths"].values()
        for operation in path.values()
        for status in operation["responses"]
    }
    assert "422" not in statuses
    assert {"400", "401", "403", "404", "405", "409", "413", "415", "429", "500"} <= statuses
    schemas = document["components"]["schemas"]
    assert not any("HTTPValidation" in name for name in schemas)
    assert set(schemas["JobDetail"]["properties"]) == set(site.call("GET", f"jobs/{site.submit()['job_id']}/").json())
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert bool(operation.get("security")) == path.startswith(V1)
    page = site.client.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "<script" not in page.text
    assert "src=" not in page.text
    assert all(path in page.text for path in document["paths"])


def test_a_key_made_for_another_account_never_sees_the_answer_of_an_idempotency_key(site):
    blob = site.upload()
    site.call("POST", "submit-job/", json={"blob_name": blob}, headers={"Idempotency-Key": "k"})
    secret = accounts.create_key(site.database, name="eve")[2]
    answer = site.call("POST", "submit-job/", key=secret, json={"blob_name": blob}, headers={"Idempotency-Key": "k"})
    assert answer.json()["error"] == "Blob not found"
