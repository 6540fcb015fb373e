"""The process of one flow run in a group: Prefect's engine, printing into the group's `flows.log`.

A file of its own, and not the worker's: a run goes on, and may print, when its worker has died.
"""

import os
import runpy
import sys
from pathlib import Path


def main() -> None:
    """Runs the flow run that Prefect's environment variables name."""
    log = Path(os.environ["SPLATFLOW_DATA"]) / "logs" / "flows.log"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(descriptor, stream.fileno())
    os.close(descriptor)
    sys.argv = ["prefect.engine"]
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
