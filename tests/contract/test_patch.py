"""PATCH and PUT jobs/{job_id}/."""

import copy
import json
from typing import Any

import pytest

from tests.contract.checks import check_detail, check_error
from tests.contract.client import Api

CAMERA: dict[str, Any] = {
    "position": {"x": 0.0, "y": 1.5, "z": 5.0},
    "lookAt": {"x": 0.0, "y": -0.25, "z": 0.0},
    "up": {"x": 0.0, "y": 1.0, "z": 0.0},
    "cameraType": "orbital",
}


@pytest.fixture(params=["PATCH", "PUT"])
def method(request: pytest.FixtureRequest) -> str:
    return request.param


def test_title_and_public(api: Api, job: str, method: str) -> None:
    response = api.request(method, f"jobs/{job}/", json={"title": "Updated title", "public": True})
    assert response.status_code == 200
    check_detail(response.json())
    for body in (response.json(), api.detail(job)):
        assert body["title"] == "Updated title"
        assert body["public"] is True


def test_one_field_leaves_the_others(api: Api, job: str, method: str) -> None:
    api.patch(f"jobs/{job}/", json={"title": "Kept", "camera_data": CAMERA})
    body = api.request(method, f"jobs/{job}/", json={"public": True}).json()
    assert (body["title"], body["public"], body["camera_data"]) == ("Kept", True, CAMERA)


def test_camera_data(api: Api, job: str, method: str) -> None:
    response = api.request(method, f"jobs/{job}/", json={"camera_data": CAMERA})
    assert response.status_code == 200
    assert response.json()["camera_data"] == CAMERA
    assert api.detail(job)["camera_data"] == CAMERA
    cleared = api.request(method, f"jobs/{job}/", json={"camera_data": None})
    assert cleared.status_code == 200
    assert cleared.json()["camera_data"] is None


def test_camera_data_without_a_type(api: Api, job: str) -> None:
    camera = {name: value for name, value in CAMERA.items() if name != "cameraType"}
    body = api.patch(f"jobs/{job}/", json={"camera_data": camera}).json()
    assert body["camera_data"] == camera


def test_whole_numbers_and_large_ones(api: Api, job: str) -> None:
    camera = {**CAMERA, "position": {"x": 1, "y": -2, "z": 123456.789}}
    assert api.patch(f"jobs/{job}/", json={"camera_data": camera}).json()["camera_data"] == camera


def broken() -> dict[str, Any]:
    """What is wrong -> camera_data as JSON text."""
    cases: dict[str, Any] = {}

    def case(name: str, part: str, value: Any, *inner: str) -> None:
        camera = copy.deepcopy(CAMERA)
        target = camera
        for step in (part, *inner)[:-1]:
            target = target[step]
        target[(part, *inner)[-1]] = value
        cases[name] = json.dumps(camera)

    for part in ("position", "lookAt", "up"):
        cases[f"no {part}"] = json.dumps({name: value for name, value in CAMERA.items() if name != part})
        case(f"{part} null", part, None)
        case(f"{part} a list", part, [0, 0, 5])
        case(f"{part} without z", part, {"x": 0.0, "y": 0.0})
        case(f"{part} with w", part, 1.0, "w")
        for value in ("1.0", True, None, [1], float("nan"), float("inf"), -float("inf")):
            case(f"{part}.y {value!r}", part, value, "y")
    case("another key", "fov", 60)
    case("another type", "cameraType", "fly")
    case("type in upper case", "cameraType", "Orbital")
    case("type a number", "cameraType", 1)
    cases["beyond finite"] = json.dumps(CAMERA).replace("5.0", "1e999")
    cases["huge integer"] = json.dumps(CAMERA).replace("5.0", "1" + "0" * 400)
    cases["empty"] = "{}"
    return cases | {text: text for text in ("[]", '"orbital"', "1", "true")}


BROKEN = broken()


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_camera_data_must_be_whole_and_finite(api: Api, job: str, text: str) -> None:
    response = api.send_text("PATCH", f"jobs/{job}/", f'{{"camera_data": {text}}}')
    check_error(response, 400, field=None if "NaN" in text or "Infinity" in text else "camera_data")
    assert api.detail(job)["camera_data"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", ""),
        ("title", "x" * 256),
        ("title", 5),
        ("title", True),
        ("title", None),
        ("title", ["x"]),
        ("public", 1),
        ("public", "true"),
        ("public", None),
        ("public", []),
    ],
)
def test_wrong_values(api: Api, job: str, method: str, field: str, value: Any) -> None:
    check_error(api.request(method, f"jobs/{job}/", json={field: value}), 400, field=field)
    detail = api.detail(job)
    assert (detail["title"], detail["public"]) == ("A job of a test", False)


def test_a_wrong_value_changes_nothing_else(api: Api, job: str) -> None:
    check_error(api.patch(f"jobs/{job}/", json={"title": "Half", "public": "yes"}), 400, field="public")
    assert api.detail(job)["title"] == "A job of a test"


@pytest.mark.parametrize("field", ["nonsense", "Title", "owner", "id", "lease_token", "__class__"])
def test_an_unknown_field(api: Api, job: str, method: str, field: str) -> None:
    check_error(api.request(method, f"jobs/{job}/", json={field: "x"}), 400, field=field)


def test_read_only_fields_are_ignored(api: Api, job: str, method: str) -> None:
    before = api.detail(job)
    changes = {
        "job_id": "00000000-0000-4000-8000-000000000000",
        "status": "Finished",
        "percent_complete": 100,
        "uploaded_at": "2000-01-01T00:00:00Z",
        "reconstruction_method": "colmap",
        "training_num_steps": 100,
        "has_ply": True,
        "files": {"ply": {"bytes": 1, "sha256": "0" * 64}},
        "error_code": "internal",
        "viewer_url": "https://evil.example/",
    }
    response = api.request(method, f"jobs/{job}/", json={**changes, "title": "Only this"})
    assert response.status_code == 200, response.text
    after = response.json()
    assert after["title"] == "Only this"
    for name in set(changes) - {"status", "percent_complete", "error_code"}:
        assert after[name] == before[name], name
    assert after["status"] != "Finished"


def test_sending_back_what_was_read(api: Api, job: str, method: str) -> None:
    api.patch(f"jobs/{job}/", json={"camera_data": CAMERA})
    detail = api.detail(job)
    response = api.request(method, f"jobs/{job}/", json={**detail, "title": "Sent back"})
    assert response.status_code == 200, response.text
    assert response.json()["title"] == "Sent back"
    assert response.json()["camera_data"] == CAMERA


def test_sending_back_without_camera_data(api: Api, job: str, method: str) -> None:
    detail = api.detail(job)
    assert detail["camera_data"] is None
    response = api.request(method, f"jobs/{job}/", json=detail)
    assert response.status_code == 200, response.text
    assert response.json()["camera_data"] is None
