"""A group of its own in a temporary folder, and what it costs: seconds to start, memory and processor time at rest."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import func, select
from sqlmodel import col

from cli.service.environment import GROUP_MARK
from cli.service.folder import DataFolder
from storage.database import Database
from storage.tables import Account, Job

ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Rest:
    """A group that nobody asks for anything.

    Attributes:
        cores: processor time of all its processes by wall time.
        mib: their memory, what they share counted once (PSS).
        by_part: cores and MiB by part.
    """

    cores: float
    mib: float
    by_part: dict[str, tuple[float, float]]


def up(data: Path) -> tuple[str, float]:
    """Starts the group of a data folder; its URL, and how long `splatflow up --detach` took."""
    begin = time.perf_counter()
    command = ["up", "--data", str(data), "--api-port", "0", "--prefect-port", "0", "--detach", "--json"]
    done = subprocess.run([sys.executable, "-m", "cli.main", *command], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)["url"], time.perf_counter() - begin


def down(data: Path) -> float:
    """Stops it; how long that took."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "cli.main", "down", "--data", str(data)], cwd=ROOT, check=True)
    return time.perf_counter() - begin


@contextmanager
def running(data: Path) -> Iterator[tuple[str, float]]:
    """The same, stopped at the end of the block."""
    try:
        yield up(data)
    finally:
        down(data)


def rest(data: Path, *, seconds: float) -> Rest:
    """Watches the group for `seconds`."""
    before, begin = _times(data), time.perf_counter()
    time.sleep(seconds)
    after, took = _times(data), time.perf_counter() - begin
    by_part: dict[str, tuple[float, float]] = {}
    for process, used in after.items():
        with suppress(psutil.Error):
            name, mib = _part(data, process), process.memory_full_info().pss / MIB
            cores, total = by_part.get(name, (0.0, 0.0))
            by_part[name] = (cores + (used - before.get(process, 0.0)) / took, total + mib)
    return Rest(
        cores=sum(cores for cores, _ in by_part.values()), mib=sum(mib for _, mib in by_part.values()), by_part=by_part
    )


def rows_left_of(database: Database, account: str) -> Callable[[], int]:
    """Counts the rows of an account's jobs, deleted ones included."""
    owner = select(col(Account.id)).where(col(Account.name) == account).scalar_subquery()
    query = select(func.count()).select_from(Job).where(col(Job.account_id) == owner)

    def count() -> int:
        with database.connection() as connection:
            return connection.execute(query).scalar_one()

    return count


def _times(data: Path) -> dict[psutil.Process, float]:
    found, mark = {}, DataFolder(data).group_id
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(GROUP_MARK) == mark or process.pid == _pid(data):
                times = process.cpu_times()
                found[process] = times.user + times.system
    return found


def _pid(data: Path) -> int:
    state = DataFolder(data).state()
    return state.pid if state is not None else -1


def _part(data: Path, process: psutil.Process) -> str:
    state = DataFolder(data).state()
    parts = {} if state is None else {pid: name for name, pid in state.parts.items()} | {state.pid: "supervisor"}
    for one in (process, *process.parents()):
        if one.pid in parts:
            return parts[one.pid]
    return "runs"
