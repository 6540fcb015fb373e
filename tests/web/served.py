"""A real API process over a folder of its own, with jobs put there by the test: no Prefect, no runs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from storage.database import Database
from storage.local import LocalStore
from storage.settings import Settings
from tests.api.site import Site
from tests.support.group import AMPLE, free_port

SECRET = "signs what the browser tests fetch"
START_SECONDS = 30


class Served(Site):
    """As the in-process site of the API's tests, behind a port.

    Attributes:
        url: of the service.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._given = {"signing_secret": SECRET, "data": folder, "api_port": self.port, **settings}
        self.settings = Settings(**self._given)
        self.database = Database(self.settings.database)
        self.database.migrate()
        self.store = LocalStore(self.settings.object_folder, SECRET.encode())
        self.client = httpx.Client(base_url=self.url, trust_env=False)  # pyright: ignore[reportAttributeAccessIssue]
        self.key = self.new_key("ann", limits=AMPLE)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Returns when the API answers."""
        environment = {f"SPLATFLOW_{name.upper()}": str(value) for name, value in self._given.items()}
        log = (self.settings.data_folder / "api.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "api.main"],
                env={**os.environ, **environment, "PREFECT_API_URL": ""},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.client.get("/healthz")
                return
            except httpx.TransportError:
                assert time.monotonic() < deadline, (self.settings.data_folder / "api.log").read_text()[-2000:]
                time.sleep(0.05)

    def stop(self) -> None:
        """Ends the API as a power cut does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        self.stop()
        self.client.close()
        self.database.close()
