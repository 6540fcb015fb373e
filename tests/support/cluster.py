"""A service on separate hosts, for tests: PostgreSQL, an S3 server, and the parts, each started by its own `splatflow part NAME`.

with running_cluster(folder, ("front", "prefect", "gpu-1"), settings={...}) as cluster:
    cluster.host("front").run("part", "migrate")
    cluster.host("prefect").start("prefect")
    ...
    cluster.host("gpu-1").lose()
    cluster.s3_gate.busy(30)
    cluster.restart_postgres(down_seconds=5)
"""

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psutil
import psycopg
from psycopg.rows import dict_row

from tests.support.group import AMPLE, ROOT, free_port
from tests.support.hosts import MARK, READY_SECONDS, Host, namespaces
from tests.support.postgres import Postgres, running_postgres
from tests.support.proxy import Proxy, proxied
from tests.support.s3_server import S3Server, running_s3

BUCKET = "splatflow"


@dataclass(kw_only=True)
class Cluster:
    """Hosts that share PostgreSQL, an S3 server and Prefect's API, and nothing else.

    Attributes:
        database_url: of our rows, for the test itself; Prefect's are in a database of its own.
        database_gate, s3_gate: through which all hosts reach PostgreSQL and the store; either can be away or busy for a while.
        url, prefect_url: where API and Prefect are reached, once a host has started them.
    """

    folder: Path
    postgres: Postgres
    s3: S3Server
    database_url: str
    database_gate: Proxy
    s3_gate: Proxy
    api_port: int
    prefect_port: int
    hosts: dict[str, Host]
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def prefect_url(self) -> str:
        return f"http://127.0.0.1:{self.prefect_port}"

    def host(self, name: str) -> Host:
        return self.hosts[name]

    def start_front(self) -> None:
        """Database, Prefect's server on the host "prefect", deployments, API and dispatcher on the host "front"; no worker yet."""
        front = self.host("front")
        front.run("part", "migrate")
        self.host("prefect").start("prefect")
        front.run("part", "deploy")
        for part in ("api", "dispatcher"):
            front.start(part)

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

    def restart_postgres(self, *, down_seconds: float = 0.0) -> None:
        """Stops PostgreSQL, which cuts all connections, and starts it again on its data after a while."""
        (server,) = [p for p in psutil.Process().children() if p.name() == "postgres"]
        command, user, folder = server.cmdline(), server.username(), server.cwd()
        server.send_signal(signal.SIGINT)
        server.wait(30)
        time.sleep(down_seconds)
        another = {} if user == psutil.Process().username() else {"user": user, "group": user, "extra_groups": []}
        log = self.folder / "postgres.log"
        with log.open("ab") as output:
            again = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **another
            )
        self.started.append(again)
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                psycopg.connect(self.database_url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, log.read_text(errors="replace")
                time.sleep(0.1)

    def end(self) -> None:
        """Kills what runs on the hosts, and a PostgreSQL that was started again."""
        for host in self.hosts.values():
            host.lose()
        for process in self.started:
            process.send_signal(signal.SIGINT)
            process.wait(30)

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
            database_gate=stack.enter_context(proxied(postgres.port)),
            s3_gate=stack.enter_context(proxied(urlsplit(s3.endpoint).port or 80)),
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
        if namespaces():
            for host in cluster.hosts.values():
                host.hidden = [other.folder for other in cluster.hosts.values() if other is not host]
        try:
            yield cluster
        finally:
            cluster.end()


def _shared(cluster: Cluster) -> dict[str, str]:
    """The environment of all hosts. A real deployment gives each part only what it needs; `Host.environment` can be cut down."""
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "OMP_WAIT_POLICY": "PASSIVE",
        "SPLATFLOW_DATABASE_URL": _through(cluster, cluster.database_url),
        "SPLATFLOW_OBJECT_STORE": "s3",
        "SPLATFLOW_S3_ENDPOINT": f"http://127.0.0.1:{cluster.s3_gate.port}",
        "SPLATFLOW_S3_REGION": cluster.s3.region,
        "SPLATFLOW_S3_BUCKET": BUCKET,
        "SPLATFLOW_S3_ACCESS_KEY": cluster.s3.access_key,
        "SPLATFLOW_S3_SECRET_KEY": cluster.s3.secret_key,
        "SPLATFLOW_SIGNING_SECRET": secrets.token_hex(32),
        "SPLATFLOW_API_PORT": str(cluster.api_port),
        "PREFECT_API_URL": f"{cluster.prefect_url}/api",
        "PREFECT_SERVER_API_PORT": str(cluster.prefect_port),
        "PREFECT_API_DATABASE_CONNECTION_URL": _through(cluster, cluster.postgres.new_database()).replace(
            "postgresql://", "postgresql+asyncpg://", 1
        ),
    }


def _through(cluster: Cluster, url: str) -> str:
    """The URL of a database as hosts reach it."""
    return url.replace(f":{cluster.postgres.port}/", f":{cluster.database_gate.port}/", 1)
