"""Becomes a part, after tying its life to the supervisor's: `python launch.py SUPERVISOR_PID COMMAND...`.

Run as a file with `python -S`, so that it costs a hundredth of a second.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Replaces this process by COMMAND; the system kills it when its parent dies (Linux)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != int(sys.argv[1]):  # it died before we asked
            sys.exit(1)
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
