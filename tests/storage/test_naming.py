"""Keys are safe and belong together; file names made from titles are safe everywhere."""

import unicodedata
from email.message import Message
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import naming

JOB = UUID("0b8c1a52-5f0e-4f3a-9a57-2d6f1f4f9d10")
any_text = st.text(st.characters(codec=None), max_size=300)  # with lone surrogates


def test_the_keys_as_documented():
    assert naming.upload_key(JOB, "mp4") == f"videos/{JOB}.mp4"
    assert naming.source_key(JOB, "zip") == f"jobs/{JOB}/source.zip"
    assert naming.step_key(JOB, "sfm", "0a1b") == f"jobs/{JOB}/steps/sfm/0a1b.tar"
    assert naming.result_key(JOB, "x/y.json") == f"jobs/{JOB}/results/x/y.json"
    assert naming.preview_key(JOB, 2, 17) == f"jobs/{JOB}/previews/2/17.jpg"
    assert naming.output_key(JOB, 1, "scene.ply") == f"jobs/{JOB}/outputs/1/scene.ply"
    assert naming.checkpoint_key(JOB, "0a1b", 2, 17, "e" * 64) == f"jobs/{JOB}/checkpoints/0a1b/2-17-{'e' * 64}.pt"


def test_a_jobs_keys_share_its_prefix_and_no_other():
    other = uuid4()
    made = [
        naming.source_key(JOB, "mp4"),
        naming.step_key(JOB, "extract", "d"),
        naming.result_key(JOB, "r"),
        naming.preview_key(JOB, 1, 1),
        naming.output_key(JOB, 1, "scene.spz"),
    ]
    assert all(key.startswith(naming.job_prefix(JOB)) and naming.valid_key(key) for key in made)
    assert not any(key.startswith(naming.job_prefix(other)) for key in made)
    assert naming.result_key(JOB, "r").startswith(naming.result_prefix(JOB))


def test_a_checkpoints_key_says_whose_it_is():
    key = naming.checkpoint_key(JOB, "0a1b", 12, 3, "f" * 64)
    assert naming.checkpoint_of(key) == (12, 3, "f" * 64)
    assert key.startswith(naming.checkpoint_prefix(JOB, "0a1b"))
    assert naming.checkpoint_prefix(JOB, "0a1b").startswith(naming.checkpoint_prefix(JOB))
    assert [naming.checkpoint_of(other) for other in (naming.preview_key(JOB, 1, 1), "x/1-2-abc.pt", "")] == [None] * 3


@pytest.mark.parametrize("part", ["", ".", "..", "../x", "a/b", "a\\b", "a\0", ".hidden", "x" * 300, "\udfff"])
def test_parts_cannot_leave_their_place(part: str):
    with pytest.raises(naming.BadKey):
        naming.output_key(JOB, 1, part)
    if "/" in part:
        with pytest.raises(naming.BadKey):
            naming.step_key(JOB, part, "d")


@pytest.mark.parametrize("name", ["", "../x", "a/../../x", "/x", "a//b", "a/"])
def test_results_stay_under_their_job(name: str):
    with pytest.raises(naming.BadKey):
        naming.result_key(JOB, name)


@given(any_text)
def test_a_valid_key_is_a_plain_path(key: str):
    if naming.valid_key(key):
        assert key.encode()
        assert not key.startswith("/")
        assert not set(key.split("/")) & {"", ".", ".."}
        assert not any(unicodedata.category(c) == "Cc" or c == "\\" for c in key)


@pytest.mark.parametrize("text", ["mp4", ".mp4", "MP4", ".Mp4"])
def test_extensions_are_tolerant(text: str):
    assert naming.normal_extension(text) == "mp4"


@pytest.mark.parametrize("text", ["", ".", "..mp4", "exe", "mp4 ", "mp4/x", "m\u212aV", "m\u212av", "mp4\n", "\ud800"])
def test_other_extensions_are_refused(text: str):
    assert naming.normal_extension(text) is None


def test_the_extension_of_an_upload():
    assert naming.extension_of(naming.upload_key(JOB, "webm")) == "webm"
    for name in ("videos/x", "mp4", "videos/x.exe", ""):
        with pytest.raises(naming.BadKey):
            naming.extension_of(name)


@pytest.mark.parametrize(
    ("title", "kind_file", "expected"),
    [
        ("My room", "scene.ply", "My room.ply"),
        ("My room", "report.json", "My room-report.json"),
        ("clip.mp4", "scene.spz", "clip.spz"),
        ("v1.2", "scene.ply", "v1.2.ply"),
        ("", "scene.ply", "scene.ply"),
        ("...", "scene.ply", "scene.ply"),
        (".bashrc", "scene.ply", "bashrc.ply"),
        ("-rf", "scene.ply", "rf.ply"),
        ("../../etc/passwd", "scene.ply", "_.._etc_passwd.ply"),
        ("a\"b'c", "scene.ply", "a_b_c.ply"),
        ("a\u202egnp.exe\u202c", "scene.ply", "agnp.exe.ply"),
        ("a\r\nSet-Cookie: x", "scene.ply", "a Set-Cookie_ x.ply"),
        ("CON", "scene.ply", "_CON.ply"),
        ("com1.txt", "scene.ply", "_com1.txt.ply"),
        ("e\u0301té", "scene.ply", "été.ply"),
        ("\u1fef\u037e", "scene.ply", "_;.ply"),
        ("部屋", "colmap.zip", "部屋-colmap.zip"),
    ],
)
def test_download_names(title: str, kind_file: str, expected: str):
    assert naming.download_name(title, kind_file) == expected


@given(any_text, st.sampled_from(["scene.ply", "report.json", "colmap.zip"]))
def test_a_download_name_is_safe(title: str, kind_file: str):
    name = naming.download_name(title, kind_file)
    assert name == unicodedata.normalize("NFC", name)
    assert 0 < len(name.encode()) <= naming.MAX_FILE_NAME_BYTES
    assert name.endswith(kind_file.rpartition(".")[2])
    assert name[0] not in ".-~ "
    assert not any(
        unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or c in "/\\<>:|?*\"'`" for c in name
    )


def test_a_long_title_is_cut_between_characters():
    name = naming.download_name("字" * 255, "scene.ply")
    assert name.removesuffix(".ply").strip("字") == ""
    assert len(name.encode()) > naming.MAX_FILE_NAME_BYTES - 4


@given(any_text)
def test_a_content_disposition_is_one_line_of_ascii_that_says_the_name(name: str):
    header = naming.content_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    assert header.startswith('attachment; filename="')
    message = Message()
    message["content-disposition"] = header
    assert message.get_content_disposition() == "attachment"
    clean = "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp"))
    if "filename*" in header:
        assert _extended(header) == clean
    else:
        assert header == f'attachment; filename="{clean}"'


def _extended(header: str) -> str:
    from urllib.parse import unquote

    return unquote(header.partition("filename*=UTF-8''")[2], errors="strict")
