"""How much a training needs, and how it is made smaller: laws, and the figures that were measured."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.train.memory import LEAST_GAUSSIANS, LEAST_SIDE_PX, changes, level_that_fits, peak_bytes, smaller
from tasks.train.options import TrainOptions

SIZE: Any = {"width_px": 1600, "height_px": 900}


@pytest.mark.parametrize(
    ("gaussians", "views", "side_px", "measured_mb"),  # benchmarks/memory.py, on two cores
    [
        (20_000, 12, 640, 565),
        (20_000, 60, 1600, 1_514),
        (300_000, 12, 640, 1_150),
        (300_000, 60, 1600, 2_558),
        (1_000_000, 12, 640, 2_320),
        (1_000_000, 12, 1600, 3_918),
    ],
)
def test_the_estimate_is_a_little_above_what_was_measured(
    gaussians: int, views: int, side_px: int, measured_mb: int
) -> None:
    size: Any = {"width_px": side_px, "height_px": side_px * 9 // 16}
    estimate = peak_bytes(gaussians=gaussians, views=views, train_side_px=side_px, **size) / 1e6
    assert measured_mb <= estimate <= 1.25 * measured_mb


@given(
    gaussians=st.integers(100, 20_000_000),
    side=st.integers(32, 8_192),
    level=st.integers(0, 12),
    device=st.sampled_from(["cpu", "cuda"]),
)
def test_a_level_more_never_needs_more_and_never_asks_for_more(gaussians: int, side: int, level: int, device: str):
    options = TrainOptions(max_gaussians=gaussians, train_side_px=side)
    here, next_one = smaller(options, level), smaller(options, level + 1)
    assert next_one.max_gaussians <= here.max_gaussians
    assert next_one.train_side_px <= here.train_side_px
    assert next_one.max_gaussians >= min(gaussians, LEAST_GAUSSIANS)
    assert next_one.train_side_px >= min(side, LEAST_SIDE_PX)
    need = [
        peak_bytes(gaussians=o.max_gaussians, views=60, train_side_px=o.train_side_px, device=device, **SIZE)
        for o in (here, next_one)
    ]
    assert need[1] <= need[0]
    assert (changes(here, next_one) == "") is (here == next_one)


def fits(memory_gb: float, least: int = 0, device: str = "cpu") -> int | None:
    options = TrainOptions(max_gaussians=1_000_000, train_side_px=1_600)
    return level_that_fits(options, views=60, device=device, memory_bytes=round(memory_gb * 1e9), least=least, **SIZE)


def test_what_fits_stays_and_what_does_not_is_made_smaller_or_refused():
    assert fits(16) == 0
    assert fits(16, least=2) == 2, "a job that was made smaller stays so, wherever it goes on"
    level = fits(2)
    assert level is not None
    assert level > 0
    options = smaller(TrainOptions(max_gaussians=1_000_000, train_side_px=1_600), level)
    assert options.max_gaussians < 500_000
    assert peak_bytes(gaussians=options.max_gaussians, views=60, train_side_px=options.train_side_px, **SIZE) <= 2e9
    assert fits(0.3) is None
    assert fits(80, device="cuda") == 0
    assert fits(4, device="cuda") not in (0, None)


def test_what_was_changed_is_told():
    before = TrainOptions(max_gaussians=40_000, train_side_px=1_600)
    assert changes(before, smaller(before, 1)) == "at most 20,000 Gaussians instead of 40,000"
    assert changes(before, smaller(before, 2)) == (
        "at most 20,000 Gaussians instead of 40,000 and pictures of 1,120 px instead of 1,600"
    )
