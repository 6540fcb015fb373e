"""The few calls to Prefect's HTTP API that a group's parts make while they start; importing Prefect itself takes a second."""

import base64
import json
import os
import time
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

TIMEOUT_SECONDS = 10.0
BUSY = (429, 503)  # 503: also what the server says while its SQLite is locked
INSIST_SECONDS = 60.0


class PrefectAnswered(Exception):
    """Prefect refused a call. `status` is the HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"Prefect answered {status}: {text[:500]}")
        self.status = status


def call(api_url: str, method: str, path: str, body: Any = None, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Any:
    """One call; returns the JSON of the answer, or None when it has none.

    Args:
        api_url: such as "http://127.0.0.1:4200/api".
        method: of HTTP.
        path: begins with a slash.
        body: sent as JSON when not None.
        timeout_seconds: to wait for the answer.

    Raises:
        PrefectAnswered: any answer but a good one.
        OSError: no answer.
    """
    headers = {"Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if auth := os.environ.get("PREFECT_API_AUTH_STRING"):
        headers["Authorization"] = "Basic " + base64.b64encode(auth.encode()).decode()
    request = Request(
        api_url + path, method=method, headers=headers, data=None if body is None else json.dumps(body).encode()
    )
    try:
        # Without the proxies of the environment: the server is on this machine.
        with build_opener(ProxyHandler({})).open(request, timeout=timeout_seconds) as answer:
            text = answer.read()
    except HTTPError as error:
        raise PrefectAnswered(error.code, error.read().decode(errors="replace")) from None
    return json.loads(text) if text else None


def insist(api_url: str, method: str, path: str, body: Any = None) -> Any:
    """`call`, made again for a minute while the server is busy or away.

    Raises:
        PrefectAnswered, OSError: as `call`.
    """
    deadline = time.monotonic() + INSIST_SECONDS
    while True:
        try:
            return call(api_url, method, path, body)
        except PrefectAnswered as error:
            if error.status not in BUSY or time.monotonic() > deadline:
                raise
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.3)
