"""Prefect's server as a run sees it: it may be away while the run is at work, and be back any moment."""

import logging
import time
from typing import Any

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

AWAY_SECONDS = 900.0
PAUSE_SECONDS = 2.0


def wait_for_server(
    log: logging.Logger | logging.LoggerAdapter[Any], *, seconds: float = AWAY_SECONDS, pause: float = PAUSE_SECONDS
) -> bool:
    """Waits until Prefect's server answers, asking every two seconds; returns whether it does.

    Prefect's own client waits twice as long before each new try, after ten minutes for nearly as long again, and the run keeps its
    worker's place all the while. So nothing that can wait is asked of the server before it is there.

    Args:
        log: told once when there is something to wait for; may itself send to the server, which loses lines meanwhile.
        seconds: after which it is left to Prefect's client.
        pause: between two questions, seconds.
    """
    deadline, told = time.monotonic() + seconds, False
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        while True:
            if _there():
                return True
            if time.monotonic() >= deadline:
                return False
            if not told:
                log.warning("Prefect's server does not answer; the run's end is told once it does")
                told = True
            time.sleep(pause)


def _there() -> bool:
    try:
        with get_client(sync_client=True, httpx_settings={"timeout": httpx.Timeout(5.0)}) as client:
            return client.api_healthcheck() is None
    except (httpx.HTTPError, OSError, RuntimeError):
        return False
