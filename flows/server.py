"""Prefect's server as a run sees it: it may be away while the run is at work, and be back any moment."""

import logging
import os
import sys
import threading
import time
from typing import Any

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

AWAY_SECONDS = 900.0
PAUSE_SECONDS = 2.0
EXIT_SECONDS = 15.0
RUN_MARK = (
    "PREFECT__FLOW_RUN_ID"  # in the environment of a run's own process; a worker, which runs hooks too, hasn't it
)


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


def exit_soon(run_id: object, *, seconds: float = EXIT_SECONDS) -> None:
    """Called when a run's end is told: its process exits by itself, as is usual within a second, or else after `seconds`.

    Prefect's client sends the run's log in a thread of its own, which the process waits for at its exit. After an outage that thread
    may wait for minutes before its next try, and the worker's place would be taken by a run that has ended. The lines that
    it holds are in the worker's log, too.

    Args:
        run_id: nothing is done in another process than this run's own.
    """
    if os.environ.get(RUN_MARK) != str(run_id):
        return

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


def _there() -> bool:
    try:
        with get_client(sync_client=True, httpx_settings={"timeout": httpx.Timeout(5.0)}) as client:
            return client.api_healthcheck() is None
    except (httpx.HTTPError, OSError, RuntimeError):
        return False
