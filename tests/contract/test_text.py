"""Text: NFC; control characters, lone surrogates and bidirectional overrides are refused."""

import unicodedata

import pytest

from tests.contract.checks import check_error
from tests.contract.client import Api

BAD = {
    "NUL": "\\u0000",
    "bell": "\\u0007",
    "backspace": "\\b",
    "tab": "\\t",
    "newline": "\\n",
    "return": "\\r",
    "escape": "\\u001b",
    "delete": "\\u007f",
    "C1 next line": "\\u0085",
    "C1 control sequence": "\\u009b",
    "high surrogate": "\\ud83c",
    "low surrogate": "\\udfac",
    "surrogates in the wrong order": "\\udfac\\ud83c",
    "left-to-right embedding": "\\u202a",
    "right-to-left embedding": "\\u202b",
    "pop directional formatting": "\\u202c",
    "left-to-right override": "\\u202d",
    "right-to-left override": "\\u202e",
    "left-to-right isolate": "\\u2066",
    "right-to-left isolate": "\\u2067",
    "first strong isolate": "\\u2068",
    "pop directional isolate": "\\u2069",
}
GOOD = [
    "Küche",
    "مشهد",
    "סצנה",
    "シーン",
    "👩‍👩‍👧 at home",
    "a/b\\c",
    '"quoted"',
    "<script>alert(1)</script>",
    "%00 %0d%0a",
    "'; DROP TABLE job; --",
]


@pytest.mark.parametrize("escape", BAD.values(), ids=BAD.keys())
def test_refused_in_a_title_on_submit(api: Api, junk: str, escape: str) -> None:
    response = api.send_text("POST", "submit-job/", f'{{"blob_name": "{junk}", "title": "gpj{escape}4pm"}}')
    check_error(response, 400, field="title", submit=True)


@pytest.mark.parametrize("escape", BAD.values(), ids=BAD.keys())
def test_refused_in_a_title_on_patch(api: Api, job: str, escape: str) -> None:
    check_error(api.send_text("PATCH", f"jobs/{job}/", f'{{"title": "gpj{escape}4pm"}}'), 400, field="title")
    assert api.detail(job)["title"] == "A job of a test"


@pytest.mark.parametrize("escape", ["\\ud800", "\\u0000", "\\u202e"])
@pytest.mark.parametrize("field", ["reconstruction_method", "camera_type"])
def test_refused_in_other_fields(api: Api, junk: str, field: str, escape: str) -> None:
    response = api.send_text("POST", "submit-job/", f'{{"blob_name": "{junk}", "{field}": "{escape}"}}')
    check_error(response, 400, field=field, submit=True)


@pytest.mark.parametrize("escape", ["\\ud800", "\\u0000", "\\u202e"])
def test_refused_in_a_blob_name(api: Api, escape: str) -> None:
    response = api.send_text("POST", "submit-job/", f'{{"blob_name": "videos/{escape}.mp4"}}')
    check_error(response, 400, field="blob_name", submit=True)


@pytest.mark.parametrize("escape", ["\\ud800", "\\u0000", "\\u202e"])
def test_refused_in_a_file_extension(api: Api, escape: str) -> None:
    response = api.send_text("POST", "generate-upload-url/", f'{{"file_extension": "mp4{escape}"}}')
    check_error(response, 400, field="file_extension")


@pytest.mark.parametrize("title", GOOD)
def test_other_text_comes_back_as_it_was(api: Api, junk: str, title: str) -> None:
    answer = api.submit(blob_name=junk, title=title)
    assert answer["title"] == title
    assert api.detail(answer["job_id"])["title"] == title


def test_titles_are_normalised(api: Api, junk: str) -> None:
    decomposed = unicodedata.normalize("NFD", "Café Ångström 한국")
    answer = api.submit(blob_name=junk, title=decomposed)
    assert answer["title"] == unicodedata.normalize("NFC", decomposed) != decomposed
    patched = api.patch(f"jobs/{answer['job_id']}/", json={"title": decomposed + "é"}).json()
    assert patched["title"] == unicodedata.normalize("NFC", decomposed + "é")


def test_titles_of_256_bytes(api: Api, junk: str) -> None:
    """Length is counted in characters; what is refused stays refused in a long title."""
    emoji = "🎬" * 64
    assert len(emoji.encode()) == 256
    assert api.submit(blob_name=junk, title=emoji)["title"] == emoji
    mixed = "ä" * 100 + "x" * 56
    assert len(mixed.encode()) == 256
    assert api.submit(blob_name=junk, title=mixed)["title"] == mixed
    for bad in ("\u202e", "\x07", "\u2066", "\x00"):
        title = bad + "x" * (256 - len(bad.encode()))
        assert len(title.encode()) == 256
        check_error(api.post("submit-job/", json={"blob_name": junk, "title": title}), 400, field="title", submit=True)


@pytest.mark.parametrize("character", ["x", "é", "場", "🎬"])
def test_the_longest_title(api: Api, junk: str, character: str) -> None:
    assert api.submit(blob_name=junk, title=character * 255)["title"] == character * 255
    too_long = {"blob_name": junk, "title": character * 256}
    check_error(api.post("submit-job/", json=too_long), 400, field="title", submit=True)
