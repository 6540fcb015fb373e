"""Runs twenty jobs of three accounts on separate hosts through every fault, and writes what happened when to `benchmarks/faults.md`:

.venv/bin/python -m benchmarks.faults   # about ten minutes; needs PostgreSQL and rclone
"""

import os
import subprocess
import sys
from pathlib import Path

TABLE = Path(__file__).with_name("faults.md")
TEST = "tests/service/test_fault_matrix.py"


def main() -> None:
    """Runs the campaign's test; its exit code is ours."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", TEST, "-m", "campaign", "-s", *sys.argv[1:]],
        cwd=Path(__file__).resolve().parents[1],
        env={**os.environ, "SPLATFLOW_FAULTS_TABLE": str(TABLE)},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
