"""When a delivery that was not heard is tried again. Pure.

Everything is: a connection that broke, a receiver that is busy (429, 5xx), and one that refuses (other 4xx, redirects), since receivers
get mended. Only 410 is a last word.
"""

from datetime import datetime, timedelta

FIRST_SECONDS, FACTOR, LONGEST_SECONDS = 10.0, 3.0, 7200.0
DAY = timedelta(hours=24)
FEWEST_TRIES = 8  # also when nobody could send for most of the day
SPREAD = 0.5  # of a pause that is left to chance, so that what failed together does not come again together
GONE = 410


def pause_seconds(tries: int, chance: float, retry_after_seconds: float | None = None) -> float:
    """Seconds until the next try.

    Args:
        tries: that were made, from 1.
        chance: from 0 to 1.
        retry_after_seconds: what the receiver asked for; two hours at most are taken.
    """
    pause = min(LONGEST_SECONDS, FIRST_SECONDS * FACTOR ** min(tries - 1, 20))
    pause *= 1 - SPREAD / 2 + SPREAD * chance
    return max(pause, min(LONGEST_SECONDS, retry_after_seconds or 0.0))


def next_try(
    created_at: datetime, tries: int, moment: datetime, chance: float, retry_after_seconds: float | None = None
) -> datetime | None:
    """When to try again; None: it was tried for a day.

    Args:
        created_at: since when it is tried.
        moment: now. The others as in `pause_seconds`.
    """
    due = moment + timedelta(seconds=pause_seconds(tries, chance, retry_after_seconds))
    return None if due > created_at + DAY and tries >= FEWEST_TRIES else due
