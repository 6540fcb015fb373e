"""Rate limits: per key and class of route, and per address for keys that are no good. Counted in this process's memory."""

import logging
import math
import time
from functools import lru_cache

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from api.errors import rate_limited
from storage.accounts import Principal
from storage.settings import Settings
from tasks.errors import BadOption

READ, WRITE, SUBMIT = "read", "write", "submit"
CLASSES = (READ, WRITE, SUBMIT)
log = logging.getLogger("splatflow.api")


class Limiter:
    """Counts requests in fixed windows that begin with the first one.

    Raises:
        BadOption: a limit of the settings can't be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._default = {READ: settings.limit_read, WRITE: settings.limit_write, SUBMIT: settings.limit_submit}
        self._failed = settings.limit_failed_keys
        for text in (*self._default.values(), self._failed):
            parse_limit(text)
        self._windows = FixedWindowRateLimiter(MemoryStorage())

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
        limit = parse_limit(self.of(principal, route_class))
        identifiers = (str(principal.key_id), route_class)
        allowed = self._windows.hit(limit, *identifiers)
        headers = self._headers(limit, *identifiers)
        if not allowed:
            raise rate_limited({"Retry-After": _reset(headers), **headers})
        return headers

    def count_failure(self, address: str) -> None:
        """Counts a request without a good key.

        Raises:
            ApiError: 429; there were too many from this address. Its good keys go on working.
        """
        limit = parse_limit(self._failed)
        if not self._windows.hit(limit, "failed", address):
            headers = self._headers(limit, "failed", address)
            raise rate_limited({"Retry-After": _reset(headers), **headers})

    def _headers(self, limit: RateLimitItem, *identifiers: str) -> dict[str, str]:
        stats = self._windows.get_window_stats(limit, *identifiers)
        reset = min(limit.get_expiry(), max(1, math.ceil(stats.reset_time - time.time())))
        return {
            "RateLimit": f"limit={limit.amount}, remaining={max(0, stats.remaining)}, reset={reset}",
            "RateLimit-Policy": f"{limit.amount};w={limit.get_expiry()}",
        }


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


def _reset(headers: dict[str, str]) -> str:
    return headers["RateLimit"].rpartition("=")[2]
