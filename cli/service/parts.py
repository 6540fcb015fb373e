"""The parts of a group: what they run, what they wait for, and how one knows that they are ready."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

from cli.service.environment import Addresses
from cli.service.prefect_api import PrefectAnswered, call
from cli.service.worker import name as worker_name
from flows.request import HOUSEKEEPING_POOL, POOL

PROBE_SECONDS = 2.0
WORKERS = 0  # the first to be stopped, then the runs that they started


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process of a group.

    Attributes:
        name: for people, logs and the state file.
        module: run as `python -m`, with `arguments`.
        after: parts that must be ready (or, if they end, done) before it starts.
        ready: asks whether it is ready; ready as soon as it runs when None.
        ends: it does something and ends; it isn't started again.
        gates: the group isn't ready before it.
        says: what it prints is for the supervisor, as JSON, and goes into no log.
        stop_order: parts of a lower number are stopped first.
        patience_seconds: it is given to end by itself.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    ready: Callable[[], bool] | None = None
    ends: bool = False
    gates: bool = True
    says: bool = False
    stop_order: int = 1
    patience_seconds: float = 10.0

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", self.module, *self.arguments]


def parts(addresses: Addresses, group_id: str) -> list[Part]:
    """All of them, in the order in which they are started where nothing else is said.

    Python programs spend their first seconds with imports; so each starts as soon as it can and waits by itself where it must.
    """
    prefect_api = f"{addresses.prefect_url}/api"
    return [
        prefect(addresses.prefect_host, addresses.prefect_port, prefect_api),
        Part(name="prepare", module="cli.service.prepare", ends=True, says=True),
        worker("worker", POOL, prefect_api, group_id),
        Part(
            name="api",
            module="api.main",
            after=("prepare",),
            # Prefect first: before it answers, the API can't be ready, and would log each time that it isn't.
            ready=lambda: answers(prefect_api, "/health") and answers(addresses.api_url, "/readyz"),
            stop_order=2,
        ),
        Part(name="dispatcher", module="api.dispatcher", after=("prepare",), stop_order=1),
        Part(name="deploy", module="cli.service.deploy", after=("prefect",), ends=True),
        replace(
            worker("housekeeping", HOUSEKEEPING_POOL, prefect_api, group_id),
            after=("worker", "api", "deploy"),
            ready=None,
            gates=False,
        ),
    ]


def prefect(host: str, port: int, api_url: str) -> Part:
    """Prefect's server.

    Args:
        host, port: where it listens.
        api_url: where its API is reached from here.
    """
    return Part(
        name="prefect",
        module="uvicorn",
        arguments=(
            *("--factory", "prefect.server.api.server:create_app"),
            *("--host", host, "--port", str(port)),
            *("--timeout-keep-alive", "5", "--log-level", "warning"),
        ),
        ready=lambda: answers(api_url, "/health"),
        stop_order=3,
    )


def worker(name: str, pool: str, prefect_api: str, group_id: str) -> Part:
    """A worker of a pool; ready once Prefect has heard of it."""

    def online() -> bool:
        found = call(prefect_api, "POST", f"/work_pools/{pool}/workers/filter", {}, timeout_seconds=PROBE_SECONDS)
        return any(w["name"] == worker_name(pool, group_id) and w["status"] == "ONLINE" for w in found)

    return Part(
        name=name,
        module="cli.service.worker",
        arguments=(pool,),
        ready=online,
        stop_order=WORKERS,
        patience_seconds=1.0,
    )


def answers(url: str, path: str) -> bool:
    """Whether a GET has a good answer.

    Raises:
        OSError, PrefectAnswered: it has none, or a bad one.
    """
    call(url, "GET", path, timeout_seconds=PROBE_SECONDS)
    return True


def is_ready(part: Part) -> bool:
    """Asks the part; no answer counts as no."""
    try:
        return part.ready is None or part.ready()
    except (OSError, ValueError, KeyError, TypeError, PrefectAnswered):
        return False
