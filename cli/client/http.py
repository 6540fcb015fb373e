"""Requests to a deployment's API, with patience for a connection that breaks."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from cli.client.errors import Refused, Unreachable
from tasks.errors import BadOption

PREFIX = "/api/v1/"
PATIENCE_SECONDS = 300.0
BACKOFF_SECONDS = (0.5, 1, 2, 4, 8, 15)
BUSY = (429, 502, 503, 504)
TIMEOUT = httpx.Timeout(30.0, connect=10.0)

Say = Callable[[str], None]


class Api:
    """One deployment, as one key sees it. Close it, or use it as a context.

    Args:
        url: of the deployment, with or without `/api/v1/`.
        key: an API key.
        say: takes a line when the connection breaks.
        transport: for tests; the network when None.

    Raises:
        BadOption: the URL or the key is none.
    """

    def __init__(
        self, url: str, key: str, *, say: Say = lambda line: None, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = _normal(url)
        if not key.isascii() or not key.isprintable():
            raise BadOption("The API key has characters that no key has; copy it again.")
        self.say = say
        # A proxy of the environment would not find this machine's own group.
        local = urlsplit(self.url).hostname in ("127.0.0.1", "localhost", "::1")
        options: dict[str, Any] = {"timeout": TIMEOUT, "trust_env": not local, "transport": transport}
        self._client = httpx.Client(
            base_url=self.url + PREFIX, headers={"Authorization": f"Api-Key {key}"}, follow_redirects=False, **options
        )
        # Signed URLs need no key, and another host must not see ours.
        self.outside = httpx.Client(follow_redirects=True, **options)

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()
        self.outside.close()

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of a GET; tried again for minutes when the connection breaks.

        Raises:
            Refused: an error of the API.
            Unreachable: no answer in all that time.
        """
        return _json(self.response("GET", path, params=query or None))

    def send(self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Any:
        """The JSON of a request that changes something; tried again only when a repeat does no harm: it never arrived,
        the deployment was busy, or `headers` has an Idempotency-Key. None when the answer is empty.

        Raises:
            Refused, Unreachable: as `get`.
        """
        again = headers is not None and "Idempotency-Key" in headers
        response = self.response(method, path, json=body, headers=headers, repeat=again)
        return _json(response) if response.content else None

    def location(self, path: str) -> str:
        """Where a redirect leads, as a whole URL.

        Raises:
            Refused, Unreachable: as `get`.
        """
        response = self.response("GET", path)
        if "location" not in response.headers:
            raise Refused("The deployment answered without the file's address.", code="bad_answer")
        return str(response.url.join(response.headers["location"]))

    def response(self, method: str, path: str, *, repeat: bool = True, **options: Any) -> httpx.Response:
        """The answer to a request, unless it is an error.

        Raises:
            Refused, Unreachable: as `get`.
        """

        def once() -> httpx.Response:
            response = self._client.request(method, path, **options)
            if response.status_code >= 400:
                raise refusal(response)
            return response

        return insist(once, say=self.say, repeat=repeat)


def insist(
    once: Callable[[], Any], *, say: Say = lambda line: None, repeat: bool = True, patience_seconds: float | None = None
) -> Any:
    """Calls `once` until it works, with growing pauses.

    Args:
        once: raises httpx.TransportError or a Refused that may pass.
        say: takes one line when it begins to wait.
        repeat: a request that may have arrived may be made again.
        patience_seconds: PATIENCE_SECONDS when None.

    Raises:
        Unreachable: patience is over.
        Refused: an answer that won't change.
    """
    patience = PATIENCE_SECONDS if patience_seconds is None else patience_seconds
    deadline, tries = time.monotonic() + patience, 0
    while True:
        try:
            return once()
        except httpx.TransportError as error:
            if not repeat and not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
                raise Unreachable(
                    f"The connection broke before the answer came ({type(error).__name__}); look whether it was done."
                ) from None
            pause, what = _pause(tries), f"no connection ({_why(error)})"
            failure: Exception = Unreachable(f"The deployment can't be reached ({_why(error)}); is it running?")
        except Refused as error:
            if error.status not in BUSY:
                raise
            pause, what, failure = max(_pause(tries), getattr(error, "retry_after", 0.0)), str(error), error
        if time.monotonic() + pause > deadline:
            raise failure from None
        if tries == 1:  # not at the first: most pass at once
            say(f"{what}; trying again for {patience / 60:.0f} min")
        tries += 1
        time.sleep(pause)


def refusal(response: httpx.Response) -> Refused:
    """The error of an answer; tolerates answers that aren't the API's, such as a proxy's page."""
    try:
        response.read()
        body = response.json()
        message, code = str(body["error"]), str(body.get("code") or f"http_{response.status_code}")
    except (ValueError, KeyError, TypeError, AttributeError):
        message, code = f"The deployment answered {response.status_code} without saying why.", "bad_answer"
    error = Refused(message, code=code, status=response.status_code)
    if (after := response.headers.get("retry-after", "")).isdigit():
        error.retry_after = min(float(after), 60.0)  # type: ignore[attr-defined]
    return error


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise Refused("The deployment's answer is no JSON; is --url an address of ours?", code="bad_answer") from None


def _pause(tries: int) -> float:
    return float(BACKOFF_SECONDS[min(tries, len(BACKOFF_SECONDS) - 1)])


def _why(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__


def _normal(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadOption(f"{url!r} is no address of a deployment; write it as http://HOST:PORT.")
    return url.rstrip("/").removesuffix("/api/v1")
