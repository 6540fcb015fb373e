"""Kills every part of a group at every stage of a job, and writes what became of the jobs to `benchmarks/crashes.md`:

.venv/bin/python -m benchmarks.crashes            # about half an hour
.venv/bin/python -m benchmarks.crashes -k frozen  # only some cases; the table then holds only those
"""

import os
import subprocess
import sys
from pathlib import Path

TABLE = Path(__file__).with_name("crashes.md")


def main() -> None:
    """Runs the campaign's tests; their exit code is ours."""
    command = [sys.executable, "-m", "pytest", "tests/service/test_campaign.py", "-m", "campaign", *sys.argv[1:]]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "SPLATFLOW_CRASH_TABLE": str(TABLE)},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
