"""The thread that shows that an attempt lives, and notices when it has been ended from outside."""

import logging
import threading
from typing import Any

from storage.attempts import Attempt, AttemptLost
from tasks.errors import TransientError


class Heart:
    """Beats until it is stopped or the attempt is lost. The database may be away for a while: it goes on trying."""

    def __init__(self, attempt: Attempt, *, seconds: float, log: logging.Logger | logging.LoggerAdapter[Any]) -> None:
        self._attempt, self._seconds, self._log = attempt, seconds, log
        self._stopped, self._lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def check(self) -> None:
        """Raises AttemptLost once it is."""
        if self._lost.is_set():
            raise AttemptLost(self._attempt.job_id)

    def __enter__(self) -> "Heart":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self._attempt.beat()
            except AttemptLost:
                self._lost.set()
                return
            except TransientError as error:
                self._log.warning("No beat: %s", error)
            except Exception as error:  # whatever it is, without beats the attempt is taken for dead
                self._log.warning("No beat: %s", type(error).__name__)
