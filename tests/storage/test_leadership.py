"""One dispatcher acts; another one takes over when its beat stands still, or at once when it resigns."""

import threading
from concurrent.futures import ThreadPoolExecutor

from storage.database import Database
from storage.leadership import Leadership

PATIENCE = 20.0


def test_one_leads_and_goes_on_leading(database: Database):
    first, second = (Leadership(database, patience_seconds=PATIENCE) for _ in range(2))
    for at in range(0, 200, 10):
        assert first.held(at)
        assert not second.held(at + 1)


def test_another_takes_over_only_after_silence_and_the_first_notices(database: Database):
    first, second = (Leadership(database, patience_seconds=PATIENCE) for _ in range(2))
    assert first.held(0)
    assert not second.held(1000), "the silence is counted from its own first look"
    assert not second.held(1000 + PATIENCE - 1)
    assert second.held(1000 + PATIENCE)
    assert not first.held(1)
    assert second.held(1001 + PATIENCE)


def test_a_beat_ends_the_silence(database: Database):
    first, second = (Leadership(database, patience_seconds=PATIENCE) for _ in range(2))
    first.held(0)
    second.held(0)
    assert first.held(PATIENCE - 1)
    assert not second.held(PATIENCE)
    assert not second.held(2 * PATIENCE - 1)
    assert second.held(2 * PATIENCE)


def test_who_resigns_is_followed_at_once_and_resigns_for_nobody_else(database: Database):
    first, second = (Leadership(database, patience_seconds=PATIENCE) for _ in range(2))
    assert first.held(0)
    second.resign()
    assert first.held(1)
    first.resign()
    assert second.held(2)


def test_of_eight_who_begin_at_once_one_leads(database: Database):
    barrier = threading.Barrier(8)

    def begin(_: int) -> bool:
        leadership = Leadership(database, patience_seconds=PATIENCE)
        barrier.wait()
        return leadership.held(0)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(begin, range(8))).count(True) == 1


def test_names_lead_apart(database: Database):
    assert Leadership(database, name="a", patience_seconds=PATIENCE).held(0)
    assert Leadership(database, name="b", patience_seconds=PATIENCE).held(0)
