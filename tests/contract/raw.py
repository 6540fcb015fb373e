"""HTTP by hand, for what no well-behaved client would send."""

import socket
from typing import NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """A response to bytes of ours."""

    status: int
    headers: dict[str, str]
    body: bytes


def exchange(url: str, request: bytes, *, seconds: float = 20) -> Answer:
    """Sends the bytes to the host of `url` and reads one response, until the server closes or the body is whole."""
    with connect(url, seconds) as connection:
        connection.sendall(request)
        return read_answer(connection)


def connect(url: str, seconds: float = 20) -> socket.socket:
    """A plain connection to the host of `url`."""
    parts = urlsplit(url)
    assert parts.scheme == "http", "plain sockets need a deployment without TLS"
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=seconds)


def read_answer(connection: socket.socket) -> Answer:
    """One response; a connection that is closed without one gives status 0."""
    data = b""
    while b"\r\n\r\n" not in data:
        data, ended = _more(connection, data)
        if ended:
            return Answer(0, {}, data)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    ended = False
    while len(body) < length and not ended:
        body, ended = _more(connection, body)
    return Answer(int(first.split()[1]), headers, body)


def _more(connection: socket.socket, data: bytes) -> tuple[bytes, bool]:
    try:
        chunk = connection.recv(65_536)
    except ConnectionResetError:
        chunk = b""
    return data + chunk, not chunk
