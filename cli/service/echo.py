"""What parts and runs write into their logs, on standard output as well: that is where containers and systemd look."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

EVERY_SECONDS = 0.5
CHUNK_BYTES = 1 << 20


class Echo:
    """Copies what is appended to the `*.log` of a folder; begins at their present ends."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._read = {log: _size(log) for log in logs.glob("*.log")}

    def copy(self) -> None:
        """Copies what is new. A log that was emptied begins anew."""
        for log in sorted(self._logs.glob("*.log")):
            begin = self._read.get(log, 0)
            if _size(log) < begin:
                begin = 0
            with suppress(OSError), log.open("rb") as file:  # moved away meanwhile
                file.seek(begin)
                while data := file.read(CHUNK_BYTES):
                    sys.stdout.buffer.write(data)
                    begin += len(data)
            self._read[log] = begin
        sys.stdout.flush()


@contextmanager
def echoed(logs: Path) -> Iterator[None]:
    """Echoes a folder's logs from a thread of its own, and at the end what was written last."""
    echo, over = Echo(logs), threading.Event()

    def work() -> None:
        while not over.wait(EVERY_SECONDS):
            with suppress(OSError):  # nobody listens any more; the logs are still written
                echo.copy()

    thread = threading.Thread(target=work, name="echo", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(OSError):
            echo.copy()


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0
