"""What a supervisor tells the command that started it: one JSON object a line, on a pipe."""

import json
import os
from collections.abc import Iterator
from typing import Any


class Reporter:
    """The supervisor's end. Nobody listening is no error."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def send(self, event: str, **fields: Any) -> None:
        """Tells of an event: "part", "key", "ready", "failed" or "stopped"."""
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, json.dumps({"event": event, **fields}).encode() + b"\n")
        except OSError:
            self.close()

    def close(self) -> None:
        """No more to tell."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def events(descriptor: int) -> Iterator[dict[str, Any]]:
    """The command's end: events until the supervisor closes the pipe or dies."""
    with os.fdopen(descriptor, "rb", closefd=False) as pipe:
        for line in pipe:
            yield json.loads(line)
