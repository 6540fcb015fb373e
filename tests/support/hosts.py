"""A service on separate hosts, for tests: PostgreSQL, an S3 server, and the parts, each started by its own `splatflow part NAME`.

A host is a process tree with a data, home and temporary folder of its own and an environment that inherits nothing. Where the test
may (as root, on Linux) it also has a host name of its own and doesn't see the folders of the others: mounts and host name are in
namespaces. All listen on loopback.

    with running_cluster(folder, ("front", "prefect", "gpu-1"), settings={...}) as cluster:
        cluster.host("prefect").start("prefect")
        ...
        cluster.host("gpu-1").lose()
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import psycopg
from psycopg.rows import dict_row

from tests.support.group import AMPLE, ROOT, free_port
from tests.support.postgres import Postgres, running_postgres
from tests.support.s3_server import S3Server, running_s3

MARK = "SPLATFLOW_TEST_HOST"
BUCKET = "splatflow"
READY_SECONDS = 150.0
STOP_SECONDS = 60.0
ONCE_SECONDS = 120.0
ASKABLE = ("prefect", "api", "worker", "housekeeping")
# In namespaces of its own: the host's name, and empty folders where the other hosts are. The process stays the same.
ENTER = 'hostname "$1"; shift; while [ "$1" != -- ]; do mount -t tmpfs -o ro none "$1" || exit 9; shift; done; shift; exec "$@"'


@dataclass
class Host:
    """One host of a cluster.

    Attributes:
        folder: holds all that it may write: `data/`, `home/`, `tmp/`, and `<part>.log` with what each part printed.
        environment: of its parts; may be changed before they start.
        parts: the processes that `start` made, by part.
        hidden: folders that it must not see; None where no namespaces can be had.
    """

    name: str
    folder: Path
    environment: dict[str, str]
    parts: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    hidden: list[Path] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self, part: str, *, wait: bool = True) -> None:
        """Starts a part that goes on; returns when it is ready, as its own health check says."""
        log = self.folder / f"{part}.log"
        with log.open("ab") as output:
            self.parts[part] = subprocess.Popen(
                self.command("part", part),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        if wait and part in ASKABLE:
            self.wait_ready(part)

    def wait_ready(self, part: str, seconds: float = READY_SECONDS) -> None:
        """Asks `splatflow part PART --check` until it says yes."""
        deadline = time.monotonic() + seconds
        while self.run("part", part, "--check", check=False).returncode != 0:
            assert self.parts[part].poll() is None, f"{part} on {self.name} ended\n{self.tail(part)}"
            assert time.monotonic() < deadline, f"{part} on {self.name} is not ready\n{self.tail(part)}"
            time.sleep(0.3)

    def run(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """A command of this host that ends, such as `run("part", "migrate")`."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ONCE_SECONDS,
            check=False,
        )
        assert not check or done.returncode == 0, f"{self.name}: splatflow {' '.join(arguments)}\n{done.stderr}"
        return done

    def command(self, *arguments: str) -> list[str]:
        """`splatflow ARGUMENTS` as a process of this host."""
        own = [sys.executable, "-m", "cli.main", *arguments]
        if self.hidden is None:
            return own
        return ["unshare", "--mount", "--uts", "sh", "-c", ENTER, "sh", self.name, *map(str, self.hidden), "--", *own]

    def stop(self, part: str) -> int:
        """Asks a part to end, as a container engine does; its exit status."""
        process = self.parts.pop(part)
        process.send_signal(signal.SIGTERM)
        return process.wait(STOP_SECONDS)

    def kill(self, part: str) -> None:
        """`kill -9` of a part's own process. Runs that a worker started go on, as they do on a real host."""
        process = self.parts.pop(part)
        process.kill()
        process.wait()

    def lose(self) -> int:
        """`kill -9` of all that runs here, as when the power goes; how many processes there were. The folders stay."""
        killed: set[int] = set()
        while found := self.processes():  # what was just being started shows up in the next round
            for process in found:
                with suppress(psutil.Error):
                    process.kill()
                    killed.add(process.pid)
            time.sleep(0.02)
            for part in self.parts.values():
                part.poll()
        for part in self.parts.values():
            part.wait()
        self.parts.clear()
        return len(killed)

    def wipe(self) -> None:
        """A new, empty host of the same name; nothing may run on it."""
        assert not self.processes()
        shutil.rmtree(self.folder)
        self.make()

    def make(self) -> None:
        """Makes the folders."""
        for name in ("data", "home", "tmp"):
            (self.folder / name).mkdir(parents=True)

    def processes(self, *words: str) -> list[psutil.Process]:
        """Its living processes, those of runs and steps too; with words, those whose command line holds all of them."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                ours = process.environ().get(MARK) == self.environment[MARK]
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    line = " ".join(process.cmdline()) if words else ""
                    if all(word in line for word in words):
                        found.append(process)
        return found

    def of_run(self, run_id: str) -> list[psutil.Process]:
        """The processes of a flow run that are here, those of its step too."""
        found = []
        for process in self.processes():
            with suppress(psutil.Error, OSError):
                if process.environ().get("PREFECT__FLOW_RUN_ID") == run_id:
                    found.append(process)
        return found

    def tail(self, part: str, lines: int = 30) -> str:
        """The end of what a part has printed; for a worker its runs' output too."""
        log = self.folder / f"{part}.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""

    def files(self) -> list[str]:
        """All files in the host's folders."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


@dataclass(kw_only=True)
class Cluster:
    """Hosts that share PostgreSQL, an S3 server and Prefect's API, and nothing else.

    Attributes:
        database_url: of our rows; Prefect's are in a database of its own.
        url, prefect_url: where API and Prefect are reached, once a host has started them.
    """

    folder: Path
    postgres: Postgres
    s3: S3Server
    database_url: str
    api_port: int
    prefect_port: int
    hosts: dict[str, Host]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def prefect_url(self) -> str:
        return f"http://127.0.0.1:{self.prefect_port}"

    def host(self, name: str) -> Host:
        return self.hosts[name]

    def make_key(self, host: str, name: str, *, account: str | None = None) -> str:
        """A new API key's secret, with ample limits."""
        limits = [word for kind, rate in AMPLE.items() for word in ("--limit", f"{kind}={rate}")]
        whose = ["--account", account] if account else []
        done = self.host(host).run("keys", "create", "--name", name, "--json", *whose, *limits)
        return json.loads(done.stdout)["key"]

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of our database."""
        with psycopg.connect(self.database_url, row_factory=dict_row) as connection:
            return connection.execute(sql.encode(), values).fetchall()

    def objects(self, prefix: str = "") -> dict[str, int]:
        """What the store holds: bytes by key."""
        root = self.s3.folder / BUCKET
        keys = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
        return {key: path.stat().st_size for key, path in sorted(keys.items()) if key.startswith(prefix)}

    def tails(self) -> str:
        """The ends of all logs, for messages."""
        return "\n".join(
            f"--- {host.name}: {part}\n{host.tail(part, 15)}" for host in self.hosts.values() for part in host.parts
        )


@contextmanager
def running_cluster(folder: Path, names: Sequence[str], *, settings: dict[str, str] | None = None) -> Iterator[Cluster]:
    """PostgreSQL and S3 at work, hosts with nothing on them yet; at the end all is killed.

    Args:
        folder: new, for this cluster.
        names: of the hosts.
        settings: variables for all hosts beside those that they need.

    Raises:
        FileNotFoundError: PostgreSQL or rclone isn't installed.
    """
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres())
        (folder / "s3" / BUCKET).mkdir(parents=True)
        s3 = stack.enter_context(running_s3(folder / "s3"))
        cluster = Cluster(
            folder=folder,
            postgres=postgres,
            s3=s3,
            database_url=postgres.new_database(),
            api_port=free_port(),
            prefect_port=free_port(),
            hosts={},
        )
        shared = _shared(cluster) | (settings or {})
        for name in names:
            home = folder / "hosts" / name
            own = {
                MARK: f"{name}-{uuid4().hex}",
                "HOME": str(home / "home"),
                "TMPDIR": str(home / "tmp"),
                "SPLATFLOW_DATA": str(home / "data"),
                "SPLATFLOW_SLOTS": f"{name}-slot",  # its name goes with the host's, which may be the same for all
            }
            cluster.hosts[name] = Host(name, home, shared | own)
            cluster.hosts[name].make()
        if _namespaces():
            for host in cluster.hosts.values():
                host.hidden = [other.folder for other in cluster.hosts.values() if other is not host]
        try:
            yield cluster
        finally:
            for host in cluster.hosts.values():
                host.lose()


def _shared(cluster: Cluster) -> dict[str, str]:
    """The environment of all hosts. A real deployment gives each part only what it needs; `Host.environment` can be cut down."""
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "OMP_WAIT_POLICY": "PASSIVE",
        "SPLATFLOW_DATABASE_URL": cluster.database_url,
        "SPLATFLOW_OBJECT_STORE": "s3",
        "SPLATFLOW_S3_ENDPOINT": cluster.s3.endpoint,
        "SPLATFLOW_S3_REGION": cluster.s3.region,
        "SPLATFLOW_S3_BUCKET": BUCKET,
        "SPLATFLOW_S3_ACCESS_KEY": cluster.s3.access_key,
        "SPLATFLOW_S3_SECRET_KEY": cluster.s3.secret_key,
        "SPLATFLOW_SIGNING_SECRET": secrets.token_hex(32),
        "SPLATFLOW_API_PORT": str(cluster.api_port),
        "PREFECT_API_URL": f"{cluster.prefect_url}/api",
        "PREFECT_SERVER_API_PORT": str(cluster.prefect_port),
        "PREFECT_API_DATABASE_CONNECTION_URL": cluster.postgres.new_database().replace(
            "postgresql://", "postgresql+asyncpg://", 1
        ),
    }


def _namespaces() -> bool:
    """Whether a process may have host name and mounts of its own."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--mount", "--uts", "true"], capture_output=True, check=False).returncode == 0
