"""The supervisor's process: `python -m cli.service.supervise` with the arguments that `cli.service.up` gives it."""

import argparse
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

import psutil

from cli.service import environment, ports, processes
from cli.service.folder import DataFolder, GroupState
from cli.service.parts import parts
from cli.service.report import Reporter
from cli.service.supervisor import Supervisor
from tasks.errors import SplatflowError

PREFECT_HOST = "127.0.0.1"
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Runs the group until it is asked to stop; tells what becomes of it on the descriptor `--report`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--api-port", type=int, required=True)
    parser.add_argument("--prefect-port", type=int, required=True)
    parser.add_argument("--report", type=int, required=True)
    parser.add_argument("--tied-to", type=int, help="process whose end ends the group")
    args = parser.parse_args()
    if args.tied_to is not None:
        _end_with(args.tied_to)
    reporter = Reporter(args.report)
    try:
        _supervise(DataFolder(args.data), args, reporter)
        reporter.send("stopped")
    except SplatflowError as error:
        say(f"failed: {error}")
        reporter.send("failed", error=type(error).__name__, slug=error.slug, message=str(error))
        sys.exit(2)


def say(line: str) -> None:
    """A dated line of the supervisor's log."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}", flush=True)


def _supervise(folder: DataFolder, args: argparse.Namespace, reporter: Reporter) -> None:
    processes.adopt_orphans()
    lock = folder.lock()
    try:
        api_port = ports.choose(args.host, args.api_port, "--api-port")
        prefect_port = ports.choose(PREFECT_HOST, args.prefect_port, "--prefect-port")
        addresses = environment.Addresses(
            host=args.host,
            api_port=api_port,
            api_url=ports.url(args.host, api_port),
            prefect_host=PREFECT_HOST,
            prefect_port=prefect_port,
            prefect_url=ports.url(PREFECT_HOST, prefect_port),
        )
        state = GroupState(
            phase="starting",
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            url=addresses.api_url,
            prefect_url=addresses.prefect_url,
            data=str(folder.path),
        )
        supervisor = Supervisor(
            folder,
            parts(addresses, folder.group_id),
            environment.of_parts(folder, addresses, os.environ),
            state,
            reporter,
            say,
        )
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, supervisor.ask_to_stop)
        supervisor.run()
    finally:
        os.close(lock)


def _end_with(pid: int) -> None:
    """The group of a foreground command ends, in order, when the command is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != pid:
        sys.exit(1)


if __name__ == "__main__":
    main()
