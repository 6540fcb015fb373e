"""The page's drawings: inside their frame, and well-formed for any numbers."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.export import charts

finite = st.floats(-1e9, 1e9, allow_nan=False)


def numbers(svg: str) -> list[float]:
    root = ElementTree.fromstring(svg)
    found = [e.get(k) for e in root.iter() for k in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "points", "d")]
    return [float(n) for text in found if text for n in re.findall(r"-?\d+\.?\d*(?:e[-+]?\d+)?|nan|inf", text)]


@given(
    points=st.lists(st.tuples(st.integers(0, 100_000), st.floats(allow_nan=True, allow_infinity=True)), max_size=30),
    logarithmic=st.booleans(),
)
def test_curves_stay_in_their_frame(points: list[tuple[int, float]], logarithmic: bool) -> None:
    svg = charts.curve(points, unit="dB", label="PSNR", logarithmic=logarithmic)
    shown = [y for _, y in points if (1e-12 if logarithmic else -1e12) <= y <= 1e12]
    assert (svg is None) == (len(shown) < 2)
    if svg is not None:
        assert all(-1 <= n <= 481 for n in numbers(svg))


@given(
    low=finite,
    span=st.floats(1e-6, 1e9),
)
def test_marks_are_few_and_span_the_values(low: float, span: float) -> None:
    marks = charts._marks(low, low + span)
    if low + span > low and span > 1e-9 * abs(low):
        step = marks[1] - marks[0] if len(marks) > 1 else 0
        assert 2 <= len(marks) <= 7
        assert marks[0] <= low + 1e-6 * step + 1e-6 * span
        assert marks[-1] >= low + span - 1e-6 * span - 1e-9 * abs(low)


@pytest.mark.parametrize("cameras", [1, 2, 30])
@pytest.mark.parametrize("points", [0, 1, 50_000])
def test_view_from_above(cameras: int, points: int) -> None:
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(cameras, 3))
    axes[0] = [0, 1, 0]  # straight down
    svg = charts.top_view(
        rng.normal(size=(cameras, 3)),
        axes,
        [i % 8 == 0 for i in range(cameras)],
        rng.normal(size=(points, 3)) * 100,
        rng.integers(0, 255, (points, 3)).astype(np.uint8),
    )
    root = ElementTree.fromstring(svg)
    assert len([e for e in root.iter() if "camera" in (e.get("class") or "").split()]) == cameras
    assert len(svg) < 150_000
    assert all(math.isfinite(n) for n in numbers(svg))


def test_equal_cameras_can_be_drawn() -> None:
    centres = np.ones((5, 3))
    svg = charts.top_view(
        centres, np.tile([0.0, 0, 1], (5, 1)), [False] * 5, np.zeros((0, 3)), np.zeros((0, 3), np.uint8)
    )
    assert "nan" not in svg


@given(
    frames=st.lists(
        st.builds(
            charts.Kept,
            at=st.floats(0, 1),
            blur=st.none() | st.floats(0, 1),
            motion=st.none() | st.floats(0, 10),
            kind=st.sampled_from(["kept", "held", "missing"]),
            title=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=10),
        ),
        max_size=40,
    )
)
def test_timeline_has_a_bar_for_every_frame(frames: list[charts.Kept]) -> None:
    svg = charts.timeline(frames)
    bars = [e for e in ElementTree.fromstring(svg).iter() if e.tag == "rect"]
    assert len([b for b in bars if b.get("class") != "motion"]) == len(frames)
    assert all(-0.1 <= n <= 1000.1 for n in numbers(svg))


def test_the_sharpest_frame_is_the_highest() -> None:
    frames = [charts.Kept(at=i / 4, blur=b, motion=None, kind="kept", title="") for i, b in enumerate((0.6, 0.2, 0.9))]
    root = ElementTree.fromstring(charts.timeline(frames))
    heights = [float(e.get("height") or 0) for e in root.iter() if e.tag == "rect"]
    assert heights[1] > heights[0] > heights[2] > 0
