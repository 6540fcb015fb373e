"""submit-job/: every field, its default, its bounds and what it says when they are broken."""

import json
from typing import Any

import pytest

from tests.contract.checks import REFERENCE, check_detail, check_error, check_time
from tests.contract.client import Api

TAG_ERROR = "AprilTag size must be between 1mm and 1000mm."
CAMERA_ERROR = 'Invalid camera_type. Must be "orbital" or "drone".'


def refused(api: Api, blob: str, error: str | None = None, /, **fields: Any) -> None:
    response = api.post("submit-job/", json={"blob_name": blob, **fields})
    check_error(response, 400, error, field=next(iter(fields)), submit=True)


def test_the_answer(api: Api, junk: str) -> None:
    answer = api.submit(blob_name=junk, title="My awesome video")
    assert answer["success"] is True
    assert answer["status"] == "queued"
    assert set(answer) >= REFERENCE
    check_time(answer["uploaded_at"])
    check_detail({**answer, "status": "Queued", "queue_position": None})
    detail = api.detail(answer["job_id"])
    assert "success" not in detail
    assert set(detail) == set(answer) - {"success"}


def test_the_defaults(api: Api, junk: str) -> None:
    answer = api.submit(blob_name=junk)
    for body in (answer, api.detail(answer["job_id"])):
        assert body["title"] == junk.removeprefix("videos/")
        assert body["public"] is False
        assert body["reconstruction_method"] == "glomap"
        assert body["training_num_steps"] == 25_000
        assert body["training_max_num_gaussians"] == 1_000_000
        assert body["remove_background"] is False
        assert body["apriltag_size_mm"] is None
        assert body["camera_type"] is None
        assert body["camera_data"] is None
        assert body["percent_complete"] is None
        assert body["has_ply"] is False
        assert body["has_spz"] is False
        assert body["warnings"] == []


def test_every_field(api: Api, junk: str) -> None:
    fields = {
        "title": "All of it",
        "public": True,
        "reconstruction_method": "colmap",
        "training_max_num_gaussians": 30_000,
        "training_num_steps": 7_000,
        "apriltag_size_mm": 95.6,
        "remove_background": True,
        "camera_type": "orbital",
        "mesh": True,
        "turntable": {"seconds": 2.5, "side_px": 320, "path": "orbit"},
        "priority": "batch",
    }
    answer = api.submit(blob_name=junk, **fields)
    detail = api.detail(answer["job_id"])
    for name, value in fields.items():
        assert answer[name] == value
        assert detail[name] == value


@pytest.mark.parametrize("body", [{}, {"title": "No blob"}, {"blob": "videos/x.mp4"}])
def test_no_blob_name(api: Api, body: dict[str, Any]) -> None:
    response = api.post("submit-job/", json=body)
    check_error(response, 400, "No blob_name provided.", field="blob_name", submit=True)


@pytest.mark.parametrize("value", ["", None])
def test_an_empty_blob_name(api: Api, value: str | None) -> None:
    check_error(api.post("submit-job/", json={"blob_name": value}), 400, field="blob_name", submit=True)


def test_an_upload_may_be_submitted_twice(api: Api, junk: str) -> None:
    assert api.submit(blob_name=junk)["job_id"] != api.submit(blob_name=junk)["job_id"]


def test_title_bounds(api: Api, junk: str) -> None:
    assert api.submit(blob_name=junk, title="x")["title"] == "x"
    refused(api, junk, title="")
    refused(api, junk, title="x" * 256)


@pytest.mark.parametrize("method", ["glomap", "colmap", "GLOMAP", "Colmap", "GloMap"])
def test_methods_in_any_case(api: Api, junk: str, method: str) -> None:
    assert api.submit(blob_name=junk, reconstruction_method=method)["reconstruction_method"] == method.lower()


@pytest.mark.parametrize("method", ["", "sfm", "glomap ", "glomap,colmap", "ｇｌｏｍａｐ"])
def test_other_methods(api: Api, junk: str, method: str) -> None:
    refused(api, junk, reconstruction_method=method)


@pytest.mark.parametrize(
    ("field", "lowest", "highest"),
    [("training_max_num_gaussians", 1_000, 5_000_000), ("training_num_steps", 100, 100_000)],
)
def test_integer_bounds(api: Api, junk: str, field: str, lowest: int, highest: int) -> None:
    for value in (lowest, lowest + 1, highest - 1, highest):
        assert api.submit(blob_name=junk, **{field: value})[field] == value
    for value in (lowest - 1, highest + 1, 0, -1, -lowest, 2**31, 2**63, 2**64, 10**30):
        refused(api, junk, None, **{field: value})


@pytest.mark.parametrize("size_mm", [1, 1.0, 1.5, 95.6, 1000, 999.999])
def test_tag_sizes(api: Api, junk: str, size_mm: float) -> None:
    assert api.submit(blob_name=junk, apriltag_size_mm=size_mm)["apriltag_size_mm"] == size_mm


@pytest.mark.parametrize("size_mm", [0.999, 1000.001, 0, -1, -95.6, 1e-300, 1e300, 10**20])
def test_tag_sizes_out_of_bounds(api: Api, junk: str, size_mm: float) -> None:
    refused(api, junk, TAG_ERROR, apriltag_size_mm=size_mm)


@pytest.mark.parametrize("value", ["95.6", "", [95.6], {}])
def test_tag_sizes_that_are_no_numbers(api: Api, junk: str, value: Any) -> None:
    refused(api, junk, apriltag_size_mm=value)


@pytest.mark.parametrize("camera_type", ["orbital", "drone"])
def test_camera_types(api: Api, junk: str, camera_type: str) -> None:
    assert api.submit(blob_name=junk, camera_type=camera_type)["camera_type"] == camera_type


@pytest.mark.parametrize("camera_type", ["", "Orbital", "DRONE", "fly", "orbital "])
def test_other_camera_types(api: Api, junk: str, camera_type: str) -> None:
    refused(api, junk, CAMERA_ERROR, camera_type=camera_type)


@pytest.mark.parametrize(
    ("field", "value"),
    [("some_future_option", 7), ("quality", "high")],
)
def test_what_is_not_applied_is_said(api: Api, junk: str, field: str, value: Any) -> None:
    """Fields that nobody knows are accepted with a warning, never silently."""
    answer = api.submit(blob_name=junk, **{field: value})
    for body in (answer, api.detail(answer["job_id"])):
        entries = [json.dumps(warning) for warning in body["warnings"]]
        assert any("not_applied" in entry and field in entry for entry in entries), entries


def test_what_is_applied_brings_no_warning(api: Api, junk: str) -> None:
    answer = api.submit(blob_name=junk, remove_background=True, apriltag_size_mm=95.6, mesh=True, turntable=True)
    assert answer["warnings"] == []


@pytest.mark.parametrize(
    "field",
    [
        "title",
        "public",
        "reconstruction_method",
        "training_max_num_gaussians",
        "training_num_steps",
        "apriltag_size_mm",
        "remove_background",
        "camera_type",
        "turntable",
    ],
)
def test_null_is_absent_or_refused(api: Api, junk: str, field: str) -> None:
    """The contract leaves it open; what it may not be is an error of the service."""
    response = api.post("submit-job/", json={"blob_name": junk, field: None})
    if response.status_code == 201:
        api.jobs.append(response.json()["job_id"])
    else:
        check_error(response, 400, field=field, submit=True)


def test_a_refused_submit_makes_no_job(api: Api, junk: str) -> None:
    before = api.get("jobs/", params={"limit": 1}).headers["x-total-count"]
    refused(api, junk, title="")
    assert api.get("jobs/", params={"limit": 1}).headers["x-total-count"] == before
