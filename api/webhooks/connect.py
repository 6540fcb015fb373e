"""Connections to webhooks' receivers: resolved once, judged, and made to the address that was judged.

So a name that means something else a moment later (DNS rebinding) changes nothing. The certificate is still held against the name.
Everything ends at one deadline, however slowly the other side drips.
"""

import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from ssl import SSLContext
from typing import Any

import httpcore

Resolve = Callable[[str, int], Sequence[str]]
MOST_ADDRESSES = 4
FIRST_SECONDS = 3.0  # for an address that is followed by others
PIECE = 16_384


class AddressRefused(Exception):
    """The name has no address that may be connected to."""


class NameUnknown(Exception):
    """The name has no address."""


def addresses_of(host: str, port: int) -> Sequence[str]:
    """The addresses of a name as the system's resolver tells them, in its order.

    Raises:
        NameUnknown
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NameUnknown from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Guarded(httpcore.NetworkBackend):
    """Connects to permitted addresses only, for as long as there is time.

    Args:
        permits: whether an address may be connected to.
        resolve: finds the addresses of a name.
        until: of the monotonic clock; later nothing is waited for.
    """

    def __init__(self, permits: Callable[[str], bool], resolve: Resolve, *, until: float) -> None:
        self._permits, self._resolve, self._until = permits, resolve, until
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        found = self._resolve(host, port)
        permitted = [address for address in found if self._permits(address)][:MOST_ADDRESSES]
        if not permitted:
            raise AddressRefused
        for address in permitted[:-1]:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return self._connect(address, port, FIRST_SECONDS)
        return self._connect(permitted[-1], port, None)

    def _connect(self, address: str, port: int, at_most: float | None) -> httpcore.NetworkStream:
        left = _left(self._until, httpcore.ConnectTimeout)
        seconds = left if at_most is None else min(left, at_most)
        # Numbers, so that nothing is resolved again.
        return _Hurried(self._plain.connect_tcp(address, port, timeout=seconds), self._until)


class _Hurried(httpcore.NetworkStream):
    """A connection that is over at a time, whatever each read or write would wait for."""

    def __init__(self, stream: httpcore.NetworkStream, until: float) -> None:
        self._stream, self._until = stream, until

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._until, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for first in range(0, len(buffer), PIECE):
            self._stream.write(buffer[first : first + PIECE], _left(self._until, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(self._until, httpcore.ConnectTimeout)
        return _Hurried(self._stream.start_tls(ssl_context, server_hostname, left), self._until)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(until: float, too_late: type[Exception]) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise too_late
    return left
