"""Absences that pass, and those that do not."""

import logging

import pytest

from storage.attempts import AttemptLost
from tasks.errors import TooFewFrames, TransientError
from tasks.service import patience
from tasks.service.patience import patiently

LOG = logging.getLogger("test")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(patience, "LONGEST_PAUSE_SECONDS", 0.02)


class Failing:
    """Fails so many times, then answers."""

    def __init__(self, times: int, error: Exception) -> None:
        self.left, self.error, self.calls = times, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.left:
            raise self.error
        return "done"


def test_what_passes_is_waited_out() -> None:
    act = Failing(3, TransientError("away"))
    assert patiently(act, LOG) == "done"
    assert act.calls == 4


def test_what_does_not_pass_is_raised_in_the_end() -> None:
    act = Failing(1000, TransientError("away"))
    with pytest.raises(TransientError, match="away"):
        patiently(act, LOG, seconds=0.1)
    assert 3 < act.calls < 30


def test_other_errors_are_raised_at_once() -> None:
    act = Failing(1, TooFewFrames("film more"))
    with pytest.raises(TooFewFrames):
        patiently(act, LOG)
    assert act.calls == 1


def test_a_lost_attempt_waits_for_nothing() -> None:
    act = Failing(1000, TransientError("away"))

    def check() -> None:
        if act.calls == 2:
            raise AttemptLost

    with pytest.raises(AttemptLost):
        patiently(act, LOG, check=check)
    assert act.calls == 2
