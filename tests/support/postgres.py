"""A real PostgreSQL server for tests: a cluster of its own in a temporary folder, on a free port of this machine.

A `conftest.py` that imports `postgres` gives its tests the fixture.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

START_SECONDS = 60.0
USER = "splatflow"
SYSTEM_USER = "postgres"  # whom the server runs as when we are root, which it refuses to run as
# Odd on purpose: times must come back in UTC whatever the server's zone is.
ZONE = "Asia/Kolkata"
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", f"timezone={ZONE}")


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A running server, on 127.0.0.1."""

    port: int

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{uuid4().hex[:12]}"
        with psycopg.connect(f"postgresql://{USER}@127.0.0.1:{self.port}/postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"


def programs() -> Path | None:
    """The folder with `initdb` and `postgres`: Debian's newest, or where the PATH has them."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda folder: [int(part) for part in folder.parent.name.split(".") if part.isdigit()])
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Makes a cluster, starts its server, waits until it answers, and removes all at the end.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
        RuntimeError: it doesn't start.
    """
    binaries = programs()
    if binaries is None:
        raise FileNotFoundError("initdb")
    as_user = {"user": SYSTEM_USER, "group": SYSTEM_USER, "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="splatflow-postgres-"))  # pytest's own folders are closed to other users
    log = folder / "log"
    try:
        if as_user:
            shutil.chown(folder, SYSTEM_USER, SYSTEM_USER)
        made = subprocess.run(
            [binaries / "initdb", "-D", folder / "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            **as_user,
        )
        if made.returncode != 0:
            raise RuntimeError(f"initdb failed: {made.stderr}")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        options = [part for option in FAST for part in ("-c", option)]
        with log.open("wb") as output:
            server = subprocess.Popen(
                [
                    binaries / "postgres",
                    "-D",
                    folder / "data",
                    "-h",
                    "127.0.0.1",
                    "-p",
                    str(port),
                    "-k",
                    folder,
                    *options,
                ],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                **as_user,
            )
        try:
            _wait(server, port, log)
            yield Postgres(port=port)
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown, which cuts what is still connected
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for the session; skips with the reason where PostgreSQL is not installed."""
    if programs() is None:
        pytest.skip("no PostgreSQL server: install Debian's package postgresql to run this test")
    with running_postgres() as server:
        yield server


def _wait(server: subprocess.Popen, port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            psycopg.connect(f"postgresql://{USER}@127.0.0.1:{port}/postgres", connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')}")
