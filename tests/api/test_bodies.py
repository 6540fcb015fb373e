"""Bodies: whatever comes, the answer is ours, and never a 5xx."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import ApiError
from api.json_body import parse_object
from api.schemas import SubmitRequest, UpdateRequest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=10,
)

MALFORMED = [
    b"{", b"[]", b"null", b'"x"', b"1", b"\xff{}", b"\xef\xbb\xbf{}", b"{}{}", b"{'a': 1}",
    b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": [1e999]}', b'{"a": "\\ud800"}', b'{"\\udfff": 1}',
    b'{"a": ' + b"[" * 50 + b"]" * 50 + b"}", b"[" * 200_000, b'{"a": ' + b"9" * 10_000 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_json_is_a_400(site, body):
    answer = site.call("POST", "submit-job/", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    told = answer.json()
    assert told["code"] in ("bad_json", "bad_value")
    assert told["field"]
    assert told["success"] is False
    assert told["error_message"] == told["error"]


def test_of_a_name_that_comes_twice_the_last_counts():
    assert parse_object(b'{"a": 1, "a": 2}') == {"a": 2}


@given(st.dictionaries(st.sampled_from([*SubmitRequest.model_fields, "x"]), JSON))
@settings(max_examples=150)
def test_a_submit_is_read_or_refused(body):
    _read_or_refused(SubmitRequest, body)


@given(st.dictionaries(st.sampled_from([*UpdateRequest.model_fields, "x"]), JSON))
@settings(max_examples=150)
def test_a_patch_is_read_or_refused(body):
    _read_or_refused(UpdateRequest, body)


def _read_or_refused(model, body):
    refusal = None
    try:
        model.read(parse_object(json.dumps(body).encode()))
    except ApiError as error:
        refusal = error
    assert refusal is None or (refusal.status == 400 and refusal.field and refusal.message.endswith("."))


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"blob_name": ...}, "blob_name", "No blob_name provided."),
        ({"blob_name": ""}, "blob_name", "No blob_name provided."),
        ({"blob_name": 3}, "blob_name", "blob_name must be a string."),
        ({"blob_name": "videos/../x"}, "blob_name", "Blob not found"),
        ({"blob_name": "videos/\u0000.mp4"}, "blob_name", "Blob not found"),
        ({"title": ""}, "title", "title must have 1 to 255 characters."),
        ({"title": "x" * 256}, "title", "title must have 1 to 255 characters."),
        ({"title": "a\nb"}, "title", "title must not hold control characters."),
        ({"title": "\u202etxt"}, "title", "title must not hold bidirectional overrides."),
        ({"public": 1}, "public", "public must be true or false."),
        ({"public": "true"}, "public", "public must be true or false."),
        ({"reconstruction_method": "x"}, "reconstruction_method", 'Invalid reconstruction_method. Must be "glomap" or "colmap".'),
        ({"training_max_num_gaussians": 999}, "training_max_num_gaussians", "training_max_num_gaussians must be at least 1000."),
        ({"training_max_num_gaussians": 5_000_001}, "training_max_num_gaussians", "training_max_num_gaussians must be at most 5000000."),
        ({"training_num_steps": True}, "training_num_steps", "training_num_steps must be an integer."),
        ({"training_num_steps": "500"}, "training_num_steps", "training_num_steps must be an integer."),
        ({"training_num_steps": 500.5}, "training_num_steps", "training_num_steps must be an integer."),
        ({"training_num_steps": 10**30}, "training_num_steps", "training_num_steps must be at most 100000."),
        ({"apriltag_size_mm": 0.99}, "apriltag_size_mm", "AprilTag size must be between 1mm and 1000mm."),
        ({"apriltag_size_mm": True}, "apriltag_size_mm", "AprilTag size must be between 1mm and 1000mm."),
        ({"camera_type": "Orbital"}, "camera_type", 'Invalid camera_type. Must be "orbital" or "drone".'),
        ({"max_frames": 2}, "max_frames", "max_frames must be at least 3."),
        ({"train_side_px": 1601}, "train_side_px", "train_side_px must be at most 1600."),
    ],
)  # fmt: skip
def test_each_field_is_refused_by_name(site, fields, field, message):
    body = {"blob_name": "videos/x.mp4", **fields}
    answer = site.call("POST", "submit-job/", json={k: v for k, v in body.items() if v is not ...})
    assert answer.status_code == 400
    assert (answer.json()["field"], answer.json()["error"]) == (field, message)
    assert site.rows() == []


def test_the_media_type_must_be_json(site):
    for kind, status in [
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/json; charset=utf-8", 400),
    ]:
        answer = site.call("POST", "submit-job/", content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code == status
    assert site.call("POST", "submit-job/", content=b"{}").status_code == 415
    assert site.call("PATCH", f"jobs/{site.submit()['job_id']}/").status_code == 400


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_is_a_413(site, chunked):
    content = (b"x" * 65_536 for _ in range(20)) if chunked else b"x" * (1 << 20) + b"x"
    answer = site.call("POST", "submit-job/", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"
    assert site.call("POST", f"jobs/{site.submit()['job_id']}/cancel/", content=b"x" * 2_000_000).status_code == 413
