"""Rate limits: per key and class of route, and per address for keys that are no good. Counted in this process's memory."""

import logging
import math
import time
from collections.abc import Hashable
from functools import lru_cache

from limits import RateLimitItem, parse

from api.errors import rate_limited
from storage.accounts import Principal
from storage.settings import Settings
from tasks.errors import BadOption

READ, WRITE, SUBMIT = "read", "write", "submit"
CLASSES = (READ, WRITE, SUBMIT)
SWEEP_SECONDS = 60.0
log = logging.getLogger("splatflow.api")


class Limiter:
    """Counts requests against the limits in force.

    Raises:
        BadOption: a limit of the settings can't be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._default = {READ: settings.limit_read, WRITE: settings.limit_write, SUBMIT: settings.limit_submit}
        self._failed, self._pages = settings.limit_failed_keys, settings.limit_pages
        for text in (*self._default.values(), self._failed, self._pages):
            parse_limit(text)
        self._windows = Windows()

    def of(self, principal: Principal, route_class: str) -> str:
        """The limit in force for a key, such as "5/minute"."""
        own = principal.limits.get(route_class)
        if own is None:
            return self._default[route_class]
        try:
            parse_limit(own)
        except BadOption:
            log.error("key %s: its limit for %s can't be read; the service's is used", principal.key_id, route_class)
            return self._default[route_class]
        return own

    def count(self, principal: Principal, route_class: str) -> dict[str, str]:
        """Counts a request of a good key and returns the headers that tell how many are left.

        Raises:
            ApiError: 429; there were too many.
        """
        return self._count((principal.key_id, route_class), parse_limit(self.of(principal, route_class)))

    def count_failure(self, address: str) -> None:
        """Counts a request without a good key.

        Raises:
            ApiError: 429; there were too many from this address. Its good keys go on working.
        """
        self._count(("failed", address), parse_limit(self._failed))

    def count_page(self, address: str) -> None:
        """Counts a look at a scene's page, for which no key is asked.

        Raises:
            ApiError: 429; there were too many from this address.
        """
        self._count(("pages", address), parse_limit(self._pages))

    def _count(self, who: Hashable, limit: RateLimitItem) -> dict[str, str]:
        seconds = limit.get_expiry()
        count, left = self._windows.count(who, seconds)
        reset = min(seconds, max(1, math.ceil(left)))
        headers = {
            "RateLimit": f"limit={limit.amount}, remaining={max(0, limit.amount - count)}, reset={reset}",
            "RateLimit-Policy": f"{limit.amount};w={seconds}",
        }
        if count > limit.amount:
            raise rate_limited({"Retry-After": str(reset), **headers})
        return headers


class Windows:
    """Counts in fixed windows that begin with the first count. For one thread: the event loop's.

    The memory storage of `limits` starts a thread every few requests to forget old windows; each start stops the loop for a while.
    """

    def __init__(self) -> None:
        self._windows: dict[Hashable, tuple[int, float]] = {}  # -> count, end
        self._sweep_at = time.monotonic() + SWEEP_SECONDS

    def count(self, who: Hashable, seconds: float) -> tuple[int, float]:
        """Counts one more; returns the count, and the seconds until it starts anew."""
        moment = time.monotonic()
        if moment >= self._sweep_at:
            self._windows = {key: window for key, window in self._windows.items() if window[1] > moment}
            self._sweep_at = moment + SWEEP_SECONDS
        count, end = self._windows.get(who, (0, 0.0))
        if end <= moment:
            count, end = 0, moment + seconds
        self._windows[who] = (count + 1, end)
        return count + 1, end - moment


@lru_cache(maxsize=1024)
def parse_limit(text: str) -> RateLimitItem:
    """A limit such as "5/minute".

    Raises:
        BadOption: it isn't one.
    """
    try:
        return parse(text)
    except ValueError:
        raise BadOption(f"{text!r} is no rate limit; write it like 100/minute.") from None
