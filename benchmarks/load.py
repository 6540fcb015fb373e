"""What the API answers a second, and how long it takes: `python -m benchmarks.load --url URL --key KEY` prints a Markdown table.

    python -m benchmarks.load --url http://127.0.0.1:8000 --key KEY                    as many requests as it can
    python -m benchmarks.load --url ... --key KEY --beside clip.mp4 [--rate 20]        beside a reconstruction of the clip

The key needs ample limits (`splatflow keys create --limit read=10000000/minute`). The generator speaks HTTP/1.1 over a few
connections that are kept open, one request at a time on each, and does as little as it can, since it shares the machine with
what it measures. With `--rate` requests start at even times whatever the answers take, and waiting for a free connection
counts as time of the answer, so that a service that stalls can't hide it.
"""

import argparse
import asyncio
import os
import random
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

CONNECTIONS = 8
SECONDS = 10.0
WARM_UP_SECONDS = 1.0
PAGE = 1000  # most jobs that one request lists
MAX_GAUSSIANS = 100_000  # of the job beside the load: what a CPU is given by default
END = ("Finished", "Failed", "Not found")


class LoadError(Exception):
    """The service answered something else than 200, or closed a connection."""


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

    def markdown(self) -> str:
        p50, p90, p99 = (self.percentile_ms(share) for share in (0.5, 0.9, 0.99))
        rate = self.requests / self.seconds
        return (
            f"| {self.what} | {self.requests:,} | {rate:,.0f} | {p50:.1f} | {p90:.1f} | {p99:.1f} | "
            f"{self.times_ms[-1]:.1f} |"
        )


HEADING = "| request | answered | a second | p50 ms | p90 ms | p99 ms | longest ms |\n|---|---|---|---|---|---|---|"


@dataclass(frozen=True, kw_only=True)
class Target:
    """The service and the key that it is measured with."""

    url: str
    key: str

    def request(self, path: str) -> bytes:
        """A GET of a path below /api/v1/ as bytes."""
        host = urlsplit(self.url).netloc
        return (
            f"GET /api/v1/{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Api-Key {self.key}\r\nAccept: */*\r\n\r\n"
        ).encode()

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Api-Key {self.key}"}
        return httpx.Client(base_url=f"{self.url}/api/v1/", headers=headers, timeout=60, trust_env=False)

    async def connections(self, count: int) -> list[Connection]:
        parts = urlsplit(self.url)
        if parts.scheme != "http" or parts.hostname is None:
            raise LoadError("The load generator speaks plain http:// only; give it the address behind the proxy.")
        loop, host, port = asyncio.get_running_loop(), parts.hostname, parts.port or 80
        return [(await loop.create_connection(Connection, host, port))[1] for _ in range(count)]


async def closed_loop(target: Target, what: str, paths: list[str], *, connections: int, seconds: float) -> Figures:
    """As many requests as the service takes, each connection sending its next one when it has its answer."""
    requests, times_ms, clock = [target.request(path) for path in paths], [], time.perf_counter
    opened = await target.connections(connections)
    begin = clock() + WARM_UP_SECONDS
    end = begin + seconds

    async def one(connection: Connection, chooser: random.Random) -> None:
        while (sent := clock()) < end:
            _must_be_ok(await connection.get(chooser.choice(requests)), what)
            if sent >= begin:
                times_ms.append(1e3 * (clock() - sent))

    try:
        await asyncio.gather(*(one(connection, random.Random(i)) for i, connection in enumerate(opened)))
    finally:
        for connection in opened:
            connection.close()
    return _figures(what, times_ms, seconds)


async def open_loop(
    target: Target, what: str, paths: list[str], *, connections: int, rate: float, going: Callable[[], bool]
) -> Figures:
    """`rate` requests a second, started at even times while `going()` holds, whatever the answers take."""
    requests, times_ms, clock = [target.request(path) for path in paths], [], time.perf_counter
    free: asyncio.Queue[Connection] = asyncio.Queue()
    opened = await target.connections(connections)
    for connection in opened:
        free.put_nowait(connection)
    chooser, begin, due = random.Random(0), clock(), clock()
    under_way: set[asyncio.Task[None]] = set()

    async def one(planned: float) -> None:
        connection = await free.get()
        _must_be_ok(await connection.get(chooser.choice(requests)), what)
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


def _must_be_ok(status: int, what: str) -> None:
    if status != 200:
        raise LoadError(f"{what} answered {status}; is the key good, and are its limits ample?")


def _figures(what: str, times_ms: Iterable[float], seconds: float) -> Figures:
    ordered = tuple(sorted(times_ms))
    if not ordered:
        raise LoadError(f"{what}: no answer within {seconds:.0f} s")
    return Figures(what=what, requests=len(ordered), seconds=seconds, times_ms=ordered)


def job_ids(target: Target) -> list[str]:
    """All of the account's jobs."""
    found: list[str] = []
    with target.client() as client:
        while True:
            response = client.get("jobs/", params={"limit": PAGE, "offset": len(found)})
            response.raise_for_status()
            page = [job["job_id"] for job in response.json()]
            found += page
            if len(page) < PAGE:
                return found


def submit(target: Target, clip: Path, *, steps: int) -> str:
    """The id of a new job of the clip."""
    with target.client() as client:
        upload = client.post("generate-upload-url/", json={"file_extension": clip.suffix}).raise_for_status().json()
        httpx.put(upload["url"], content=clip.read_bytes(), timeout=600, trust_env=False).raise_for_status()
        body = {"blob_name": upload["blob_name"], "title": "Beside the load", "training_num_steps": steps}
        body["training_max_num_gaussians"] = MAX_GAUSSIANS
        return client.post("submit-job/", json=body).raise_for_status().json()["job_id"]


def status(target: Target, job: str) -> str:
    """What the job's detail says."""
    with target.client() as client:
        return client.get(f"jobs/{job}/").raise_for_status().json()["status"]


async def beside(target: Target, clip: Path, paths: list[str], args: argparse.Namespace) -> Figures:
    """The detail of jobs at an even rate while a job of the clip is under way."""
    job = submit(target, clip, steps=args.steps)
    paths = [*paths, f"jobs/{job}/"]
    while status(target, job).startswith("Queued"):
        await asyncio.sleep(0.5)
    running = True

    async def watch() -> str:
        nonlocal running
        try:
            while (now := await asyncio.to_thread(status, target, job)) not in END:
                await asyncio.sleep(1)
            return now
        finally:
            running = False

    watcher = asyncio.create_task(watch())
    what = f"jobs/{{id}}/ at {args.rate:g}/s beside a reconstruction"
    try:
        figures = await open_loop(
            target, what, paths, connections=args.connections, rate=args.rate, going=lambda: running
        )
        ended = await watcher
    finally:
        watcher.cancel()
    if ended != "Finished":
        raise LoadError(f"the job beside the load ended as {ended}")
    return figures


async def measure(target: Target, args: argparse.Namespace) -> None:
    """Prints the table."""
    ids = job_ids(target)
    if not ids and args.beside is None:
        raise LoadError("The account has no jobs to ask for; fill the database first.")
    details = [f"jobs/{job}/" for job in ids]
    pages = [f"jobs/?limit=100&offset={offset}" for offset in range(0, max(1, len(ids) - 99), 100)]
    print(f"{len(ids):,} jobs, {args.connections} connections\n\n{HEADING}")
    if args.beside is not None:
        print((await beside(target, args.beside, details, args)).markdown())
        return
    for what, paths in {
        "jobs/{id}/": details,
        "jobs/?limit=100 (newest)": ["jobs/?limit=100"],
        "jobs/?limit=100&offset=... (any page)": pages,
    }.items():
        figures = await closed_loop(target, what, paths, connections=args.connections, seconds=args.seconds)
        print(figures.markdown(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description="Measures a running service.")
    parser.add_argument("--url", required=True, help="such as http://127.0.0.1:8000")
    parser.add_argument("--key", default=os.environ.get("SPLATFLOW_KEY", ""), help="default: SPLATFLOW_KEY")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, metavar="N")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help="of each line of the table")
    parser.add_argument("--beside", type=Path, metavar="CLIP", help="measure while this clip is reconstructed")
    parser.add_argument("--rate", type=float, default=20.0, metavar="N", help="requests a second with --beside")
    parser.add_argument("--steps", type=int, default=1000, metavar="N", help="training steps with --beside")
    args = parser.parse_args()
    try:
        asyncio.run(measure(Target(url=args.url.rstrip("/"), key=args.key), args))
    except (LoadError, httpx.HTTPError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
