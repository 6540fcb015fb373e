"""Waiting out the absence of a service that the run needs between its steps; within a step Prefect's retries do that."""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from tasks.errors import TransientError

PATIENCE_SECONDS = 120.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 15.0
T = TypeVar("T")


def patiently(
    act: Callable[[], T],
    log: logging.Logger | logging.LoggerAdapter[Any],
    *,
    check: Callable[[], None] = lambda: None,
    seconds: float = PATIENCE_SECONDS,
) -> T:
    """The result of `act`, tried again while it fails with something that passes.

    Args:
        act: must do no harm when it is done twice.
        check: called before each try; may raise to give up.
        seconds: after which the error is raised as it is.

    Raises:
        TransientError: it did not pass in time.
    """
    end, pause = time.monotonic() + seconds, FIRST_PAUSE_SECONDS
    while True:
        check()
        try:
            return act()
        except TransientError as error:
            if time.monotonic() + pause > end:
                raise
            log.warning("%s It is tried again in %.0f s.", error, pause)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
