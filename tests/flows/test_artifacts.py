"""What people see of a result in the Prefect UI: figures, and a title that stays text."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows import artifacts
from flows.artifacts import escaped, report_markdown, show_result
from tasks.service.reference import ExportReference
from tasks.service.run import JobRun

SPECIAL = "\\`*_{}[]()#+-.!|~<>&"


@given(text=st.text())
def test_no_character_with_a_meaning_stays_bare(text: str):
    shown = escaped(text)
    bare = re.sub(r"\\[\W_]|&(?:lt|gt|amp);", "", shown)
    assert not set(bare) & set(SPECIAL)


@pytest.mark.parametrize(
    "title", ["<script>alert(1)</script>", "[x](javascript:alert(1))", "| a | b |", "# head", "![x](http://x/y.png)"]
)
def test_a_title_brings_no_markup(title: str):
    first = report_markdown(title, {}, {}, ()).splitlines()[0]
    assert first == f"## {escaped(title)}"
    assert "<" not in first
    assert "](" not in first


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        ({"status": "scaled", "metres_per_unit": 0.4, "relative_uncertainty": 0.0031}, "| Unit | metre, to 0.31 % |"),
        ({"status": "no_tags", "metres_per_unit": None}, "| Unit | no tags |"),
    ],
)
def test_size_and_subject_are_told_where_they_were_asked_for(scale: dict[str, Any], said: str):
    text = report_markdown("Fox", {"scale": scale, "subject_psnr_db": 31.234}, {}, ())
    assert said in text
    assert "| PSNR of the subject | 31.23 dB |" in text
    plain = report_markdown("Fox", {"scale": None, "subject_psnr_db": None}, {}, ())
    assert "Unit" not in plain
    assert "subject" not in plain


def test_figures_and_warnings_are_there_and_missing_ones_are_empty():
    text = report_markdown(
        "Fox",
        {
            "frames_registered": 40,
            "frames_given": 50,
            "psnr_db": 21.234,
            "num_gaussians": 12345,
            "step_seconds": {"train": 61.26},
        },
        {"ply": {"key": "jobs/x/outputs/1/scene.ply", "bytes": 1234567, "sha256": "0"}},
        ("Dark frames.",),
    )
    for part in ("40 of 50", "21.23 dB", "12,345", "61.3 s", "1,234,567 bytes", "- Dark frames\\."):
        assert part in text
    assert "| Held-out SSIM |  |" in text
    assert "jobs/" not in text, "no key of the object store"


@pytest.fixture
def result() -> ExportReference:
    return ExportReference(
        digest="d", files={}, preview_key="jobs/x/outputs/1/preview.jpg", camera={}, quality={}, seconds=1.0
    )


def test_nothing_that_goes_wrong_here_fails_the_finished_job(
    job_run: JobRun, result: ExportReference, monkeypatch: pytest.MonkeyPatch
):
    def away(**_: Any) -> None:
        raise RuntimeError("Prefect is away")

    monkeypatch.setattr(artifacts, "create_markdown_artifact", away)
    show_result(job_run, result)


def test_a_preview_goes_as_a_picture_unless_it_is_large(
    job_run: JobRun, result: ExportReference, monkeypatch: pytest.MonkeyPatch
):
    shown: list[str] = []
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda **given: shown.append(given["markdown"]))
    for size in (10, artifacts.MAX_PREVIEW_BYTES + 1):
        job_run.objects.put_bytes(result.preview_key, b"x" * size)
        show_result(job_run, result)
    assert ["](data:image/jpeg;base64," in text for text in shown] == [True, False]
