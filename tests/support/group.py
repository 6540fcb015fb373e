"""A one-machine group of the service (`splatflow up`) in a folder of its own, for tests that need the real thing.

One group serves a whole pytest session: `shared_group` starts it at the first call and stops it when pytest ends.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.postgres import running_postgres
from tests.support.s3_server import running_s3

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 240
AMPLE = {"read": "1000000/minute", "write": "1000000/minute", "submit": "1000000/minute"}
MAX_UPLOAD_BYTES = 200_000_000


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Group:
    """A running group.

    Attributes:
        data: its folder: database, objects, logs.
        environment: settings that differ from the defaults, for every command on this folder.
    """

    data: Path
    api_port: int = field(default_factory=free_port)
    prefect_port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def prefect_url(self) -> str:
        return f"http://127.0.0.1:{self.prefect_port}"

    def command(self, *arguments: str, timeout: float = 60) -> str:
        """What `splatflow ARGUMENTS` printed; the test fails with its errors when it fails."""
        out = self.data.parent / f"{self.data.name}.stdout"
        errors = self.data.parent / f"{self.data.name}.stderr"
        with (
            out.open("w") as stdout,
            errors.open("w") as stderr,
        ):  # files: a daemon that keeps a pipe open can't hang us
            done = subprocess.run(
                [sys.executable, "-m", "cli.main", *arguments],
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                timeout=timeout,
                check=False,
            )
        assert done.returncode == 0, f"splatflow {' '.join(arguments)}\n{errors.read_text()}\n{self.log_tail()}"
        return out.read_text()

    def start(self) -> None:
        """Returns when the group is ready."""
        ports = ("--api-port", str(self.api_port), "--prefect-port", str(self.prefect_port))
        self.command("up", "--data", str(self.data), *ports, "--detach", timeout=READY_SECONDS)

    def stop(self) -> None:
        """Stops every part; kills what won't stop, so that no test run leaves a process behind."""
        try:
            self.command("down", "--data", str(self.data), timeout=90)
        finally:
            for process in self.processes():
                process.kill()

    def make_key(
        self,
        name: str,
        *,
        account: str | None = None,
        plan: str | None = None,
        scope: str | None = None,
        expires_in: int | None = None,
        limits: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """What `splatflow keys create --json` says of a new key; with ample limits unless told otherwise."""
        options = []
        for flag, value in {"account": account, "plan": plan, "scope": scope, "expires-in": expires_in}.items():
            options += [] if value is None else [f"--{flag}", str(value)]
        for route_class, rate in (AMPLE if limits is None else limits).items():
            options += ["--limit", f"{route_class}={rate}"]
        return json.loads(self.command("keys", "create", "--data", str(self.data), "--name", name, "--json", *options))

    def revoke_key(self, key_id: str) -> None:
        """Takes a key out of force."""
        self.command("keys", "revoke", key_id, "--data", str(self.data))

    def part_pids(self) -> dict[str, int]:
        """Process ids of the parts ("api", "dispatcher", "prefect", "worker", ...) as the supervisor last wrote them."""
        return json.loads((self.data / "run" / "state.json").read_text())["parts"]

    def processes(self) -> list[psutil.Process]:
        """Every process whose command line or environment names the group's folder, but this one and its parents."""
        ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
        found = []
        for process in psutil.process_iter():
            try:
                words = [*process.cmdline(), *process.environ().values()]
            except psutil.Error:
                continue
            if process.pid not in ours and any(str(self.data) in word for word in words):
                found.append(process)
        return found

    def parts(self, *words: str) -> list[psutil.Process]:
        """The group's processes whose command line holds all the words, such as `parts("prefect", "worker")`."""
        found = []
        for process in self.processes():
            try:
                line = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if all(word in line for word in words):
                found.append(process)
        return found

    def kill(self, *words: str) -> list[int]:
        """`kill -9` of the parts that the words name; their process ids."""
        killed = []
        for process in self.parts(*words):
            try:
                process.send_signal(signal.SIGKILL)
                killed.append(process.pid)
            except psutil.Error:
                continue
        return killed

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of every part's log."""
        text = ""
        for path in sorted((self.data / "logs").glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            text += "\n".join([f"--- {path.name}", *tail, ""])
        return text


_SHARED = pytest.StashKey[Group]()


def shared_group(config: pytest.Config, folder: Path) -> Group:
    """The group of this pytest session; started in `folder` at the first call, stopped when pytest ends.

    `SPLATFLOW_TEST_BACKENDS` may name "postgres", "s3" or both with a comma: then it works on these, started for it.
    """
    group = config.stash.get(_SHARED, None)
    if group is None:
        backends = contextlib.ExitStack()
        config.add_cleanup(backends.close)
        environment = {
            "SPLATFLOW_MAX_UPLOAD_BYTES": str(MAX_UPLOAD_BYTES),
            "SPLATFLOW_WEBHOOK_ALLOW_HTTP": "true",  # receivers of tests are on loopback
            "SPLATFLOW_WEBHOOK_ALLOW_PRIVATE": "127.0.0.0/8",
        }
        environment |= _backends(os.environ.get("SPLATFLOW_TEST_BACKENDS", ""), folder, backends)
        group = Group(data=folder / "group", environment=environment)
        config.stash[_SHARED] = group
        backends.callback(group.stop)
        group.start()
    return group


def running_group(config: pytest.Config) -> Group | None:
    """The session's group when one was started."""
    return config.stash.get(_SHARED, None)


def _backends(names: str, folder: Path, stack: contextlib.ExitStack) -> dict[str, str]:
    """Starts what is named; the settings with which a group works on it."""
    found: dict[str, str] = {}
    wanted = {name.strip() for name in names.split(",")} - {""}
    assert wanted <= {"postgres", "s3"}, f"SPLATFLOW_TEST_BACKENDS: {names}"
    if "postgres" in wanted:
        found["SPLATFLOW_DATABASE_URL"] = stack.enter_context(running_postgres()).new_database()
    if "s3" in wanted:
        (folder / "s3" / "splatflow").mkdir(parents=True)
        s3 = stack.enter_context(running_s3(folder / "s3"))
        found |= {
            "SPLATFLOW_OBJECT_STORE": "s3",
            "SPLATFLOW_S3_ENDPOINT": s3.endpoint,
            "SPLATFLOW_S3_REGION": s3.region,
            "SPLATFLOW_S3_ACCESS_KEY": s3.access_key,
            "SPLATFLOW_S3_SECRET_KEY": s3.secret_key,
        }
    return found
