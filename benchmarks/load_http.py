"""A load generator for HTTP/1.1, and the figures that it makes.

It uses a few connections that are kept open, one request at a time on each, and does as little as it can, since it shares the
machine with what it measures.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

WARM_UP_SECONDS = 1.0


class LoadError(Exception):
    """The service answered something else than it should, or closed a connection."""


class Connection(asyncio.Protocol):
    """One kept-open HTTP/1.1 connection; `get` takes one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._need = 0  # bytes of the response under way, 0 until its head is there
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LoadError(f"the service closed the connection: {exc}"))

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._need == 0:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._data[:end].lower()
            at = head.find(b"\r\ncontent-length:")
            if at < 0 or self._answer is None:
                self._fail(f"a response that can't be measured: {self._data[:200]!r}")
                return
            self._need = end + 4 + int(head[at + 17 :].split(b"\r\n", 1)[0])
        if len(self._data) >= self._need:
            status, self._data, self._need = int(self._data[9:12]), b"", 0
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(status)

    def _fail(self, why: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LoadError(why))

    def get(self, request: bytes) -> "asyncio.Future[int]":
        """Sends the request; the future is the status of its whole answer."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One line of the table; times in milliseconds."""

    what: str
    requests: int
    seconds: float
    times_ms: tuple[float, ...]  # sorted

    def percentile_ms(self, share: float) -> float:
        return self.times_ms[min(len(self.times_ms) - 1, int(share * len(self.times_ms)))]

    @property
    def a_second(self) -> float:
        return self.requests / self.seconds

    def markdown(self) -> str:
        p50, p90, p99 = (self.percentile_ms(share) for share in (0.5, 0.9, 0.99))
        return (
            f"| {self.what} | {self.requests:,} | {self.a_second:,.0f} | {p50:.1f} | {p90:.1f} | {p99:.1f} | "
            f"{self.times_ms[-1]:.1f} |"
        )


HEADING = "| request | answered | a second | p50 ms | p90 ms | p99 ms | longest ms |\n|---|---|---|---|---|---|---|"


@dataclass(frozen=True, kw_only=True)
class Target:
    """The service and the key that it is measured with."""

    url: str
    key: str

    def request(self, path: str, *, body: bytes | None = None) -> bytes:
        """A GET of a path below /api/v1/ as bytes; a POST when there is a JSON body."""
        lines = [f"{'GET' if body is None else 'POST'} /api/v1/{path} HTTP/1.1", f"Host: {urlsplit(self.url).netloc}"]
        lines += [f"Authorization: Api-Key {self.key}", "Accept: */*"]
        lines += [] if body is None else ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + (body or b"")

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Api-Key {self.key}"}
        return httpx.Client(base_url=f"{self.url}/api/v1/", headers=headers, timeout=60, trust_env=False)

    async def connections(self, count: int) -> list[Connection]:
        parts = urlsplit(self.url)
        if parts.scheme != "http" or parts.hostname is None:
            raise LoadError("The load generator speaks plain http:// only; give it the address behind the proxy.")
        loop, host, port = asyncio.get_running_loop(), parts.hostname, parts.port or 80
        return [(await loop.create_connection(Connection, host, port))[1] for _ in range(count)]


async def closed_loop(
    target: Target, what: str, requests: list[bytes], *, connections: int, seconds: float, good: int = 200
) -> Figures:
    """As many requests as the service takes, each connection sending its next one when it has its answer.

    Args:
        requests: one of them is chosen at random each time.
        good: the status that each answer must have.

    Raises:
        LoadError: one has another.
    """
    times_ms, clock = [], time.perf_counter
    opened = await target.connections(connections)
    begin = clock() + WARM_UP_SECONDS
    end = begin + seconds

    async def one(connection: Connection, chooser: random.Random) -> None:
        while (sent := clock()) < end:
            _must_be(good, await connection.get(chooser.choice(requests)), what)
            if sent >= begin:
                times_ms.append(1e3 * (clock() - sent))

    try:
        await asyncio.gather(*(one(connection, random.Random(i)) for i, connection in enumerate(opened)))
    finally:
        for connection in opened:
            connection.close()
    return _figures(what, times_ms, seconds)


async def open_loop(
    target: Target,
    what: str,
    requests: list[bytes],
    *,
    connections: int,
    rate: float,
    going: Callable[[], bool],
    good: int = 200,
) -> Figures:
    """`rate` requests a second, started at even times while `going()` holds, whatever the answers take.

    Waiting for a free connection counts as time of the answer, so that a service that stalls can't hide it.

    Raises:
        LoadError: an answer has another status than `good`.
    """
    times_ms, clock = [], time.perf_counter
    free: asyncio.Queue[Connection] = asyncio.Queue()
    opened = await target.connections(connections)
    for connection in opened:
        free.put_nowait(connection)
    chooser, begin, due = random.Random(0), clock(), clock()
    under_way: set[asyncio.Task[None]] = set()

    async def one(planned: float) -> None:
        connection = await free.get()
        _must_be(good, await connection.get(chooser.choice(requests)), what)
        free.put_nowait(connection)
        times_ms.append(1e3 * (clock() - planned))

    try:
        while going():
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - clock()))
            task = asyncio.create_task(one(due))
            under_way.add(task)
            for done in [task for task in under_way if task.done()]:
                done.result()
                under_way.discard(done)
        await asyncio.gather(*under_way)
    finally:
        for connection in opened:
            connection.close()
    return _figures(what, times_ms, clock() - begin)


def _must_be(good: int, status: int, what: str) -> None:
    if status != good:
        raise LoadError(f"{what} answered {status}; is the key good, and are its limits ample?")


def _figures(what: str, times_ms: Iterable[float], seconds: float) -> Figures:
    ordered = tuple(sorted(times_ms))
    if not ordered:
        raise LoadError(f"{what}: no answer within {seconds:.0f} s")
    return Figures(what=what, requests=len(ordered), seconds=seconds, times_ms=ordered)
