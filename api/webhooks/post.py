"""One try to tell a receiver: a POST over a connection of its own. No proxy, no redirects, no cookies, no more than ten seconds."""

import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpcore
import httpx

from api.webhooks.address import Destination, Rules
from api.webhooks.connect import AddressRefused, Guarded, NameUnknown, Resolve, addresses_of

SECONDS = 10.0  # from the connection to the end of the answer; the system's resolver has its own patience
MAX_ANSWER_BYTES = 65_536
MAX_REASON = 160
Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a receiver said.

    Attributes:
        status: of HTTP.
        retry_after_seconds: when it wants to be asked again; None: it did not say.
    """

    status: int
    retry_after_seconds: float | None = None


class NoAnswer(Exception):
    """There was none; the sentence says why."""


def trusted() -> ssl.SSLContext:
    """Whose certificates are good: certifi's, or those that `SSL_CERT_FILE` or `SSL_CERT_DIR` name."""
    return httpx.create_ssl_context()


def post(
    to: Destination,
    headers: Headers,
    body: bytes,
    *,
    rules: Rules,
    tls: ssl.SSLContext,
    resolve: Resolve = addresses_of,
    seconds: float = SECONDS,
) -> Answer:
    """Posts a body once; what is answered with the status is thrown away.

    Args:
        headers: besides those that HTTP asks for.
        rules: which addresses may be connected to.
        tls: see `trusted`.
        resolve: finds the addresses of a name.
        seconds: for all of it.

    Raises:
        NoAnswer
    """
    backend = Guarded(rules.permits, resolve, until=time.monotonic() + seconds)
    url = httpcore.URL(scheme=to.scheme, host=to.host, port=to.port, target=to.target)
    sent = [("Host", to.authority), ("Content-Length", str(len(body))), ("Connection", "close"), *headers]
    try:
        with (
            httpcore.ConnectionPool(ssl_context=tls, network_backend=backend, max_keepalive_connections=0) as pool,
            pool.stream("POST", url, headers=sent, content=body) as response,
        ):
            _discard(response)
            return Answer(status=response.status, retry_after_seconds=_retry_after(response.headers))
    except AddressRefused:
        raise NoAnswer(
            "The host's address is private, loopback, link-local or reserved, which is not called."
        ) from None
    except NameUnknown:
        raise NoAnswer("The host's name has no address.") from None
    except httpcore.TimeoutException:
        raise NoAnswer(f"No answer within {seconds:g} s.") from None
    except httpcore.ConnectError as error:
        raise NoAnswer(f"No connection: {_reason(error)}.") from None
    except httpcore.ProtocolError:
        raise NoAnswer("The answer was not HTTP, or broke off.") from None
    except (httpcore.NetworkError, OSError):
        raise NoAnswer("The connection broke before the answer.") from None


def _discard(response: httpcore.Response) -> None:
    """Lets the receiver end what it says, within reason. What counts, its status, is known."""
    size = 0
    with suppress(httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
        for piece in response.iter_stream():
            size += len(piece)
            if size > MAX_ANSWER_BYTES:
                return


def _retry_after(headers: Sequence[tuple[bytes, bytes]]) -> float | None:
    text = next((value for name, value in headers if name.lower() == b"retry-after"), b"").decode("latin-1").strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError):
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        text = f"its certificate is not good ({cause.verify_message})"
    elif isinstance(cause, ssl.SSLError):
        text = f"no TLS ({cause.reason or 'it broke'})"
    elif isinstance(cause, OSError) and cause.strerror:
        text = cause.strerror.lower()
    else:
        text = "it was refused"
    return "".join(character if character.isprintable() else "?" for character in text)[:MAX_REASON].rstrip(".")
