"""The data folder of a group, and what is known of the group from it.

splatflow.db          our rows (unless SPLATFLOW_DATABASE_URL says otherwise)
objects/              uploads, steps and results (unless they are in S3)
work/                 scratch space of runs
prefect/              Prefect's own database and settings
logs/<part>.log       what each part printed; flows.log what the runs printed
secrets.json          the signing secret that the first `up` made; for the owner only
run/lock              held by the supervisor for as long as it lives
run/state.json        where the group is reached, and its processes
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cli.service.errors import DataUnusable, GroupRunning

DEFAULT_DATA = "splatflow-data"


@dataclass(frozen=True, kw_only=True)
class GroupState:
    """What other commands know of a group.

    Attributes:
        phase: "starting", "ready" or "stopping".
        pid: of the supervisor.
        started: its start as the system counts it (psutil's `create_time`), which tells it from a later process of the same id.
        url: where the API is reached.
        prefect_url: where Prefect's pages are reached; its API is under `/api`.
        data: the data folder.
        parts: process ids by part.
    """

    phase: str
    pid: int
    started: float
    url: str
    prefect_url: str
    data: str
    parts: dict[str, int] = field(default_factory=dict)


class DataFolder:
    """Paths in a data folder. Nothing is made or read before a method is called."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.run = self.path / "run"
        self.logs = self.path / "logs"
        self.work = self.path / "work"
        self.prefect = self.path / "prefect"
        self.secrets = self.path / "secrets.json"
        self.client_key = self.run / "client-key"

    @property
    def group_id(self) -> str:
        """Marks the processes of this folder's group: the same for as long as the folder stays where it is."""
        return hashlib.sha256(os.fsencode(self.path.resolve())).hexdigest()[:16]

    def log(self, part: str) -> Path:
        """Where a part's output goes."""
        return self.logs / f"{part}.log"

    def make(self) -> None:
        """Makes the folders.

        Raises:
            DataUnusable: it can't be made or written.
        """
        try:
            for folder in (self.path, self.run, self.logs, self.work, self.prefect):
                folder.mkdir(parents=True, exist_ok=True)
            probe = self.run / "probe"
            probe.write_bytes(b"x")
            probe.unlink()
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise DataUnusable(
                f"The data folder {self.path} can't be used ({why}); choose one that you may write to with --data."
            ) from None

    def lock(self) -> int:
        """Takes the folder for this process; returns a descriptor that holds it until it is closed.

        Raises:
            GroupRunning: another process has it.
            DataUnusable: the lock can't be made.
        """
        try:
            descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataUnusable(f"The data folder {self.path} can't be locked ({error.strerror}).") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            state = self.state()
            where = f" at {state.url}" if state is not None else ""
            raise GroupRunning(
                f"A group is at work in {self.path} already{where}; "
                "use it, stop it with `splatflow down`, or choose another --data."
            ) from None
        return descriptor

    def locked(self) -> bool:
        """Whether a supervisor lives in this folder."""
        try:
            descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)

    def state(self) -> GroupState | None:
        """What the last supervisor wrote; None when there is nothing to read. It may be dead: see `running`."""
        try:
            kept = json.loads((self.run / "state.json").read_text())
            return GroupState(**kept)
        except (OSError, ValueError, TypeError):
            return None

    def running(self) -> GroupState | None:
        """The state of the group at work here, or None when none is."""
        return self.state() if self.locked() else None

    def write_state(self, state: GroupState) -> None:
        """Replaces the state file whole."""
        draft = self.run / "state.json.part"
        draft.write_text(json.dumps(asdict(state), indent=1))
        draft.replace(self.run / "state.json")

    def forget_state(self) -> None:
        """Removes the state file: nothing is at work here any more."""
        (self.run / "state.json").unlink(missing_ok=True)


def data_folder(given: Path | None, environment: Mapping[str, str]) -> DataFolder:
    """The data folder of `--data`, else of SPLATFLOW_DATA, else `./splatflow-data`."""
    return DataFolder(given or Path(environment.get("SPLATFLOW_DATA") or DEFAULT_DATA))
