"""Waiting for a Prefect server that is away."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.server import wait_for_server
from tests.support.group import ROOT, free_port


class Told(logging.Logger):
    def __init__(self) -> None:
        super().__init__("told")
        self.lines: list[str] = []

    def handle(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"true")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def back_after(seconds: float, port: int) -> Iterator[None]:
    servers: list[HTTPServer] = []

    def serve() -> None:
        time.sleep(seconds)
        servers.append(HTTPServer(("127.0.0.1", port), Healthy))
        servers[0].serve_forever(poll_interval=0.02)

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    while not servers:
        time.sleep(0.01)
    servers[0].shutdown()
    thread.join()
    servers[0].server_close()


def test_it_is_noticed_when_it_is_back() -> None:
    port, log = free_port(), Told()
    with back_after(2.0, port), temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}):
        begun = time.monotonic()
        assert wait_for_server(log, pause=0.05)
        assert 1 < time.monotonic() - begun < 8
    assert log.lines == ["Prefect's server does not answer; the run's end is told once it does"], "said once"


HANGS = """
import threading, time
from flows.server import exit_soon
threading.Thread(target=time.sleep, args=(60,)).start()
print("over")
exit_soon("{named}", seconds=0.2)
"""


@pytest.mark.parametrize(("named", "exits"), [("mine", True), ("another", False)])
def test_a_run_that_is_over_does_not_hang(named: str, exits: bool) -> None:
    command = [sys.executable, "-c", HANGS.format(named=named)]
    environment = {**os.environ, "PREFECT__FLOW_RUN_ID": "mine"}
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "over\n"
        try:
            assert process.wait(5 if exits else 1) == 0
            assert exits
        except subprocess.TimeoutExpired:
            assert not exits
            process.kill()


def test_it_is_left_to_prefect_when_it_stays_away() -> None:
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        assert not wait_for_server(Told(), seconds=0.2, pause=0.05)
