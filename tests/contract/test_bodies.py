"""400: whatever is wrong with a body, the answer is a 400 with the documented error body, never a 422 or a 500."""

import json
from typing import Any

import pytest

from tests.contract.checks import check_error
from tests.contract.client import Api

HUGE_NUMBER = "1" + "0" * 6000
NOT_JSON = {
    "empty": b"",
    "blank": b"   ",
    "word": b"hello",
    "cut": b'{"title": "a',
    "single quotes": b"{'title': 'a'}",
    "trailing comma": b'{"title": "a",}',
    "two documents": b"{} {}",
    "comment": b"{} // hi",
    "invalid UTF-8": b'{"title": "\xff\xfe"}',
    "overlong UTF-8": b'{"title": "\xc0\xaf"}',
    "encoded surrogate": b'{"title": "\xed\xa0\x80"}',
    "NUL": b"\x00",
    "raw control character": b'{"title": "a\x01b"}',
    "deep list": b"[" * 200_000,
    "deep object": b'{"a":' * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
}
NOT_OBJECTS = ["null", "true", "1", "1.5", '"text"', "[]", '[{"title": "a"}]', "NaN"]
TARGETS = [("POST", "generate-upload-url/"), ("POST", "submit-job/"), ("PATCH", "jobs/{job}/"), ("PUT", "jobs/{job}/")]


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
@pytest.mark.parametrize(("method", "path"), TARGETS)
def test_not_json(api: Api, job: str, method: str, path: str, body: bytes) -> None:
    response = api.send_text(method, path.format(job=job), body)
    check_error(response, 400, submit=path == "submit-job/")


@pytest.mark.parametrize("body", NOT_OBJECTS)
@pytest.mark.parametrize(("method", "path"), TARGETS)
def test_not_an_object(api: Api, job: str, method: str, path: str, body: str) -> None:
    check_error(api.send_text(method, path.format(job=job), body), 400, submit=path == "submit-job/")


def submit_text(api: Api, blob: str, field: str, value: str):
    return api.send_text("POST", "submit-job/", f'{{"blob_name": {json.dumps(blob)}, "{field}": {value}}}')


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "true", "false", HUGE_NUMBER])
@pytest.mark.parametrize("field", ["training_num_steps", "training_max_num_gaussians", "apriltag_size_mm"])
def test_numbers_that_are_none(api: Api, junk: str, field: str, value: str) -> None:
    response = submit_text(api, junk, field, value)
    check_error(response, 400, submit=True)


@pytest.mark.parametrize("value", ['"500"', '"95.6"', "[500]", '{"x": 500}', "500.5"])
@pytest.mark.parametrize("field", ["training_num_steps", "training_max_num_gaussians"])
def test_integers_of_the_wrong_type(api: Api, junk: str, field: str, value: str) -> None:
    check_error(submit_text(api, junk, field, value), 400, field=field, submit=True)


@pytest.mark.parametrize("value", ["0", "1", '"true"', '"yes"', "[]", "{}"])
@pytest.mark.parametrize("field", ["public", "remove_background", "mesh"])
def test_booleans_of_the_wrong_type(api: Api, junk: str, field: str, value: str) -> None:
    check_error(submit_text(api, junk, field, value), 400, field=field, submit=True)


@pytest.mark.parametrize("value", ["1", "true", "[]", "{}", '["a"]'])
@pytest.mark.parametrize("field", ["title", "reconstruction_method", "camera_type"])
def test_strings_of_the_wrong_type(api: Api, junk: str, field: str, value: str) -> None:
    check_error(submit_text(api, junk, field, value), 400, field=field, submit=True)


@pytest.mark.parametrize("value", [1, True, [], {}, ["videos/x.mp4"]])
def test_a_blob_name_of_the_wrong_type(api: Api, value: Any) -> None:
    check_error(api.post("submit-job/", json={"blob_name": value}), 400, field="blob_name", submit=True)


@pytest.mark.parametrize("value", [1, True, [], {}, None])
def test_a_file_extension_of_the_wrong_type(api: Api, value: Any) -> None:
    check_error(api.post("generate-upload-url/", json={"file_extension": value}), 400, field="file_extension")


@pytest.mark.parametrize(
    "text",
    [
        '{"file_extension": "mp4", "file_extension": "mov"}',
        '{"file_extension": "mp4", "__proto__": {}}',
        '{"file_extension": "mp4", "": null}',
        '{"file_extension": "mp4", "\\ud800": 1}',
        "\ufeff" + '{"file_extension": "mp4"}',
    ],
)
def test_strange_but_readable_bodies_are_never_a_server_error(api: Api, text: str) -> None:
    assert api.send_text("POST", "generate-upload-url/", text).status_code in (200, 400)


@pytest.mark.parametrize("coding", ["utf-16", "utf-32", "utf-16-le"])
def test_json_in_other_encodings_is_never_a_server_error(api: Api, coding: str) -> None:
    data = '{"file_extension": "mp4"}'.encode(coding)
    assert api.send_text("POST", "generate-upload-url/", data).status_code in (200, 400)


@pytest.mark.parametrize("path", ["jobs/{job}/cancel/", "jobs/{job}/retry/"])
def test_actions_without_a_body_ignore_one(api: Api, job: str, path: str) -> None:
    assert api.send_text("POST", path.format(job=job), "not json").status_code in (200, 400, 409)
