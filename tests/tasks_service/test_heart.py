"""The beat of an attempt: it outlives a database that is away, and tells when the attempt is lost."""

import threading
import time
from uuid import uuid4

import pytest

from storage.attempts import AttemptLost
from storage.database import DatabaseUnavailable
from tasks.service.heart import Heart
from tests.support.job_runs import LOG


class FakeAttempt:
    """Beats are answered with these, one after the other, then well."""

    def __init__(self, *answers: Exception | None) -> None:
        self.job_id = uuid4()
        self.answers = list(answers)
        self.beats = 0
        self.beaten = threading.Condition()

    def beat(self) -> None:
        with self.beaten:
            self.beats += 1
            self.beaten.notify_all()
            if self.answers and (answer := self.answers.pop(0)) is not None:
                raise answer

    def wait_for(self, beats: int) -> bool:
        with self.beaten:
            return self.beaten.wait_for(lambda: self.beats >= beats, timeout=10)


def heart_of(attempt: FakeAttempt) -> Heart:
    return Heart(attempt, seconds=0.01, log=LOG)  # pyright: ignore[reportArgumentType]


def test_it_beats_until_it_is_stopped():
    attempt = FakeAttempt()
    with heart_of(attempt) as heart:
        assert attempt.wait_for(3)
        heart.check()
    count = attempt.beats
    time.sleep(0.05)
    assert attempt.beats == count


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), RuntimeError("odd")])
def test_it_goes_on_while_the_database_is_away(error: Exception):
    attempt = FakeAttempt(error, error, None)
    with heart_of(attempt) as heart:
        assert attempt.wait_for(4)
        heart.check()


def test_it_stops_and_tells_when_the_attempt_is_lost():
    attempt = FakeAttempt(None, AttemptLost("x"))
    with heart_of(attempt) as heart:
        assert attempt.wait_for(2)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                heart.check()
            except AttemptLost:
                break
            time.sleep(0.01)
        with pytest.raises(AttemptLost):
            heart.check()
        assert attempt.beats == 2
