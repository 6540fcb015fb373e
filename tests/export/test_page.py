"""The page: readable without a network, and safe whatever a name says."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from tasks.export.options import ReportContext
from tasks.export.page import duration, memory, size, whole
from tasks.export.pictures import comparisons, heat
from tasks.export.step import export
from tests.export.folders import extract_record, posed_folder, train_record, trained_folder

NAMES = [f"frame_{i:03d}.jpg" for i in range(17)]
HELD_OUT = NAMES[::8]
VOID = {"meta", "img", "br"}
EVIL = "<script>alert(1)</script>\" onload='x' {{ 7*7 }} &amp; \udcff"


class Page(HTMLParser):
    """Tags and their attributes; fails when they don't nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def exported(folder: Path, **changes: object) -> tuple[Page, str]:
    posed = posed_folder(folder / "posed", NAMES)
    trained = trained_folder(folder / "trained", posed, HELD_OUT)
    stages = {name: {"seconds": 2.0, "peak_memory_bytes": 3_000_000} for name in ("extract", "sfm", "train")}
    given = {"source": "clip.mp4", "extract": extract_record(NAMES), "stages": stages, "preset": "quick", **changes}
    export(trained, posed, folder / "out", ReportContext(**given), lambda d, t, m: None)  # type: ignore[arg-type]
    text = (folder / "out" / "report.html").read_text(encoding="utf-8")
    return Page(text), text


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, str]:
    return exported(tmp_path_factory.mktemp("page"))


def test_page_says_what_matters(page: tuple[Page, str]) -> None:
    text = page[0].text
    for said in ("clip.mp4", "28.90", "0.910", "One frame has no pose.", "sharpest of 2", "glomap", "scene.spz"):
        assert said in text, said
    for name in HELD_OUT:
        assert name in text


def test_page_asks_for_nothing(page: tuple[Page, str]) -> None:
    tags, text = page[0].tags, page[1]
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "embed", "base", "form", "video"}
    for tag, attributes in tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "srcset", "data", "xlink:href"):
                assert (value or "").startswith("data:image/jpeg;base64,"), (tag, name)
    assert not re.search(r"url\(|@import|https?://", text)
    policy = next(a["content"] for t, a in tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_pictures_of_every_held_out_view_are_in_the_page(page: tuple[Page, str]) -> None:
    pictures = [a for tag, a in page[0].tags if tag == "img"]
    assert len(pictures) == 1 + 3 * len(HELD_OUT)
    for picture in pictures:
        assert picture["alt"]
        data = base64.b64decode((picture["src"] or "").split(",")[1])
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None


def test_page_fits_phones_and_both_schemes(page: tuple[Page, str]) -> None:
    assert any(a.get("name") == "viewport" for t, a in page[0].tags if t == "meta")
    assert "prefers-color-scheme: dark" in page[1]
    assert '<html lang="en">' in page[1]


def test_hostile_words_are_words(tmp_path: Path) -> None:
    extract = extract_record(NAMES)
    extract["frames"][0] |= {"why": EVIL, "name": EVIL}
    extract["warnings"] = [EVIL]
    train = train_record(HELD_OUT)
    train["device"] = EVIL
    train["evaluation"]["views"][0]["name"] = EVIL
    sfm = json.loads((posed_folder(tmp_path / "other", NAMES) / "sfm.json").read_text())
    sfm |= {"method": EVIL, "attempts": [{"rung": EVIL, "why": EVIL, "seconds": EVIL}]}
    sfm["frames"][-1]["name"] = EVIL
    given = {"options": {EVIL: EVIL}, "machine": {"cpu": EVIL}, "versions": {"splatflow": EVIL}}
    found, text = exported(
        tmp_path, source=EVIL, preset=EVIL, extract=extract, train=train, sfm=sfm, warnings=(EVIL,), **given
    )
    assert "<script" not in text
    assert "{{ 7*7 }}" in found.text
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
    assert found.text.count("alert(1)") >= 10
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["source"] == EVIL


def test_little_is_enough_for_a_page(tmp_path: Path) -> None:
    posed = posed_folder(tmp_path / "posed", NAMES[:3], points=1, sfm=False)
    trained = trained_folder(tmp_path / "trained", posed, [])
    train = {"steps": 1, "num_gaussians": 50, "device": "cpu", "seconds": 0.1, "seconds_per_step": None}
    export(trained, posed, tmp_path / "out", ReportContext(source="", train=train), lambda d, t, m: None)
    text = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8")).text
    assert "None" not in text
    assert "nan" not in text.lower().split()


def test_many_views_stay_small_enough_to_mail(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"{i:03d}.jpg" for i in range(75)]
    for folder in ("images", "renders"):
        (tmp_path / folder).mkdir()
    noise = cv2.resize(rng.integers(0, 255, (90, 160, 3), dtype=np.uint8), (640, 360))
    for name in names:
        cv2.imwrite(str(tmp_path / "images" / name), noise)
        cv2.imwrite(
            str((tmp_path / "renders" / name).with_suffix(".png")), noise[::-1], [cv2.IMWRITE_PNG_COMPRESSION, 0]
        )
    shown = comparisons(tmp_path / "images", tmp_path / "renders", names)
    assert len(shown) == 75
    assert sum(len(u or "") for c in shown for u in (c.photo, c.render, c.difference)) < 5_000_000
    assert shown[0].width / shown[0].height == pytest.approx(16 / 9, rel=0.02)


def test_missing_pictures_leave_a_gap_and_no_failure(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"no picture")
    (shown,) = comparisons(tmp_path / "images", tmp_path / "renders", ["a.jpg"])
    assert (shown.photo, shown.render, shown.difference) == (None, None, None)


def test_difference_is_black_where_equal_and_brightest_at_a_quarter() -> None:
    levels = np.array([[0.0, 255 / 8, 255 / 4, 255.0]], np.float32)
    shown = heat(levels).astype(int).sum(2)[0]
    assert shown[0] < 10
    assert shown[0] < shown[1] < shown[2] == shown[3]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.42, "0.4 s"), (12.3, "12 s"), (59.7, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (None, "–")],
)
def test_durations(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


def test_sizes_and_numbers() -> None:
    assert [size(n) for n in (812, 4_700_000, 3e9, None)] == ["812 B", "4.7 MB", "3.0 GB", "–"]
    assert [memory(n) for n in (271 << 20, 3 << 30, None)] == ["271 MiB", "3.00 GiB", "–"]
    assert [whole(n) for n in (1_234_567, 0, None)] == ["1\u202f234\u202f567", "0", "–"]
