"""When a new result replaces the old one, and when batches may begin jobs."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import hours, verdict

OLD = {"psnr_db": 30.0, "frames_registered": 50, "held_out_views": 7, "evaluated_by": "a", "masked": False}


def replaces(after: dict[str, Any], *, epsilon_db: float = 0.0, before: dict[str, Any] = OLD) -> tuple[bool, str]:
    ruling = verdict.judge(verdict.BETTER, epsilon_db, before, {**OLD, **after})
    return ruling.replace, ruling.reason


@given(st.floats(0, 60), st.floats(0, 60), st.floats(0, 5))
def test_better_is_by_so_much(old: float, new: float, epsilon_db: float):
    found, reason = replaces({"psnr_db": new}, epsilon_db=epsilon_db, before={**OLD, "psnr_db": old})
    assert found == (new >= old + epsilon_db)
    assert f"was {old:.2f} dB and is {new:.2f} dB" in reason


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({"frames_registered": 49}, "50 registered frames before, 49 now"),
        ({"held_out_views": 6}, "7 held-out views before, 6 now"),
        ({"evaluated_by": "b"}, "other held-out views"),
        ({"masked": True}, "one is of the subject alone, the other of the whole scene"),
        ({"psnr_db": None}, "one has no held-out PSNR"),
    ],
)
def test_what_was_judged_by_other_views_is_not_compared(after: dict[str, Any], said: str):
    found, reason = replaces({"psnr_db": 60.0, **after})
    assert not found
    assert reason == f"Not comparable, so the old result stays: {said}."


def test_a_result_of_an_older_version_is_compared_by_what_it_says():
    old = {"psnr_db": 30.0, "frames_registered": 50, "masked": False}
    assert replaces({"psnr_db": 31.0}, before=old)[0]
    assert not replaces({"psnr_db": 31.0, "frames_registered": 51}, before=old)[0]


def test_of_a_subject_its_own_figure_counts():
    old = {**OLD, "masked": True, "subject_psnr_db": 28.0}
    assert replaces({"masked": True, "psnr_db": 40.0, "subject_psnr_db": 27.0}, before=old) == (
        False,
        "The subject's held-out PSNR was 28.00 dB and is 27.00 dB.",
    )


@pytest.mark.parametrize("rule", verdict.RULES)
def test_the_other_rules_ask_nothing(rule: str):
    found = verdict.judge(rule, 0.0, OLD, {**OLD, "psnr_db": 1.0, "frames_registered": 1}).replace
    assert found == (rule == verdict.ALWAYS)


@pytest.mark.parametrize(
    ("span", "zone", "moment", "is_open", "opens"),
    [
        ("22:00-06:00", "UTC", "2026-01-05T21:59:59", False, "2026-01-05T22:00:00"),
        ("22:00-06:00", "UTC", "2026-01-05T22:00:00", True, "2026-01-05T22:00:00"),
        ("22:00-06:00", "UTC", "2026-01-06T05:59:00", True, "2026-01-06T05:59:00"),
        ("22:00-06:00", "UTC", "2026-01-06T06:00:00", False, "2026-01-06T22:00:00"),
        ("22:00-06:00", "Europe/Berlin", "2026-01-05T21:00:00", True, "2026-01-05T21:00:00"),
        ("22:00-06:00", "Europe/Berlin", "2026-07-05T19:59:00", False, "2026-07-05T20:00:00"),
        ("01:00-04:00", "Asia/Tokyo", "2026-01-05T20:00:00", False, "2026-01-06T16:00:00"),
        (None, "UTC", "2026-01-05T12:00:00", True, "2026-01-05T12:00:00"),
    ],
)
def test_hours_of_the_night(span: str | None, zone: str, moment: str, is_open: bool, opens: str):
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert hours.open_at(span, zone, at) == is_open
    assert hours.next_opening(span, zone, at) == datetime.fromisoformat(opens).replace(tzinfo=UTC)


@pytest.mark.parametrize("span", ["", "22-6", "22:00-24:00", "22:00-22:00", " 22:00-06:00", "22:00-06:00\n"])
def test_what_is_no_hours_is_refused(span: str):
    with pytest.raises(ValueError, match=r"hours|end at another time"):
        hours.parse(span)
