"""A long queue: answers while thousands of jobs wait and some start, and whether each is told its place. On standard output.

    python -m benchmarks.queue                     5,000 waiting jobs of 20 accounts, on SQLite
    python -m benchmarks.queue --postgres          the same on a PostgreSQL server of its own

A group of its own in a temporary folder: API, dispatcher, Prefect's server and a real worker, whose runs take a job, wait, and
finish it. While it works, submits and status requests come at even times, whatever the answers take. Then no worker takes a run
any more, and every job's place, as the API tells it, is held against the order of admission.
"""

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID

import httpx
import psutil

from benchmarks import load_group
from benchmarks.load_fill import AMPLE
from benchmarks.load_http import Figures, LoadError, Target, open_loop
from cli.service.folder import DataFolder
from cli.service.prefect_api import insist
from flows import request
from storage import accounts, naming, waiting
from storage.admission import USUAL, order
from storage.database import Database
from storage.settings import Settings
from storage.tables import BATCH, INTERACTIVE, START, Job, Outbox
from tests.support import stand_in
from tests.support.postgres import running_postgres

ACCOUNTS = 20
SHORT = 100  # jobs of a short queue, to compare with
HEADING = (
    "| request | answered | p50 ms | p95 ms | p99 ms | longest ms | cores of the dispatcher | of the API |\n"
    "|---|---|---|---|---|---|---|---|"
)
PLACES_SECONDS = 120.0
SETTLE_SECONDS = 15.0
CHUNK = 500


def fill(database: Database, begin: int, end: int) -> list[str]:
    """The `begin`-th to `end`-th waiting job: a quarter is one account's, a tenth is batch; returns a new key of each account."""
    chooser = random.Random(begin)
    made = [
        accounts.create_key(database, name=f"queue-{n}-{begin}", account=f"queue-{n}", limits=AMPLE)
        for n in range(ACCOUNTS)
    ]
    for first in range(begin, end, CHUNK):
        with database.write() as session:
            for number in range(first, min(end, first + CHUNK)):
                job_id = UUID(int=chooser.getrandbits(128), version=4)
                owner = made[0 if number % 4 == 0 else chooser.randrange(ACCOUNTS)][1]
                job = Job(
                    id=job_id,
                    account_id=owner.id,
                    title=f"Scene {number}",
                    blob_name=naming.upload_key(job_id, "mp4"),
                    source_key=naming.source_key(job_id, "mp4"),
                    priority=BATCH if number % 10 == 0 else INTERACTIVE,
                )
                session.add(job)
                session.add(Outbox(kind=START, job_id=job_id, attempt=1))
        time.sleep(0.2)  # no client holds the database all the time
    return [secret for _, _, secret in made]


def wait_for_places(database: Database) -> float:
    """Seconds until every waiting job has its place."""
    begin = time.perf_counter()
    while time.perf_counter() - begin < PLACES_SECONDS:
        places = waiting.read(database).places
        known = [place for place in places.values() if place is not None]
        if len(known) >= len(places) - 3:  # some are just starting
            return time.perf_counter() - begin
        time.sleep(0.5)
    raise LoadError(f"After {PLACES_SECONDS:.0f} s not every job had a place.")


async def load(
    targets: list[Target], ids: list[list[str]], *, seconds: float, reads: float, submits: float
) -> tuple[Figures, Figures]:
    """Status requests of all accounts' jobs and submits of one, at the same time."""
    blob = await asyncio.to_thread(_upload, targets[1])
    body = json.dumps({"blob_name": blob, "title": "Load"}).encode()
    end = time.perf_counter() + seconds

    def going() -> bool:
        return time.perf_counter() < end

    looks = [target.request(f"jobs/{job}/") for target, own in zip(targets, ids, strict=True) for job in own]
    wishes = [targets[1].request("submit-job/", body=body)]
    return await asyncio.gather(
        open_loop(targets[0], "jobs/{id}/", looks, connections=8, rate=reads, going=going),
        open_loop(targets[1], "submit-job/", wishes, connections=4, rate=submits, going=going, good=201),
    )


def _upload(target: Target) -> str:
    with target.client() as client:
        wanted = client.post("generate-upload-url/", json={"file_extension": "mp4"}).raise_for_status().json()
    httpx.put(wanted["url"], content=os.urandom(1 << 16), timeout=60, trust_env=False).raise_for_status()
    return wanted["blob_name"]


def told_places(targets: list[Target]) -> dict[UUID, int | None]:
    """What the API says of every waiting job."""
    found: dict[UUID, int | None] = {}
    for target in targets:
        with target.client() as client:
            offset = 0
            while page := client.get(
                "jobs/", params={"status": "queued", "detail": "true", "limit": 100, "offset": offset}
            ).json():
                found |= {UUID(job["job_id"]): job["queue_position"] for job in page}
                offset += len(page)
    return found


def check_places(database: Database, targets: list[Target]) -> str:
    """How many places are right: those at Prefect are the first, all others come in the order of admission."""
    queue, told = waiting.read(database), told_places(targets)
    ordered = order(queue.waiting, queue.served, USUAL)
    at_prefect = [job for job in ordered if job.run_id is not None]
    rest = [job for job in ordered if job.run_id is None]
    right = sorted(told.get(job.id) or 0 for job in at_prefect) == list(range(1, len(at_prefect) + 1))
    right_rest = sum(told.get(job.id) == number for number, job in enumerate(rest, len(at_prefect) + 1))
    first = f"{len(at_prefect)} at Prefect have the first places: {'yes' if right else 'NO'}"
    return f"{first}; {right_rest:,} of the other {len(rest):,} are right"


@contextmanager
def cpu_of(data: Path, part: str) -> Iterator[list[float]]:
    """The share of a core that a part took in the block, put into the list at its end."""
    state = DataFolder(data).state()
    assert state is not None
    process, found, begin = psutil.Process(state.parts[part]), [], time.perf_counter()
    before = process.cpu_times()
    yield found
    after = process.cpu_times()
    found.append((after.user + after.system - before.user - before.system) / (time.perf_counter() - begin))


def measure(args: argparse.Namespace, data: Path, database: Database) -> None:
    url, _ = load_group.up(data)
    state = DataFolder(data).state()
    assert state is not None
    stand_in.deploy(state.prefect_url, data)
    pool = (f"{state.prefect_url}/api", "PATCH", f"/work_pools/{request.POOL}")
    targets = [Target(url=url, key=secret) for secret in fill(database, 0, SHORT)]
    wait_for_places(database)
    print(HEADING, flush=True)
    under_load(args, data, targets, f"beside {SHORT} waiting")
    insist(*pool, {"is_paused": True})
    fill(database, SHORT, args.jobs)
    took = wait_for_places(database)
    insist(*pool, {"is_paused": False})
    under_load(args, data, targets, f"beside {args.jobs:,} waiting")
    insist(*pool, {"is_paused": True})
    print(f"\nAfter {args.jobs - SHORT:,} jobs came within seconds, each had its place in {took:.1f} s.", flush=True)
    time.sleep(SETTLE_SECONDS)
    print(f"Places, {SETTLE_SECONDS:.0f} s after the last start: {check_places(database, targets)}.", flush=True)


def under_load(args: argparse.Namespace, data: Path, targets: list[Target], what: str) -> None:
    """Prints lines of the table."""
    ids = [[str(job) for job in told_places([target])] for target in targets]
    load_now = load(targets, ids, seconds=args.seconds, reads=args.reads, submits=args.submits)
    with cpu_of(data, "dispatcher") as dispatcher, cpu_of(data, "api") as api:
        figures = asyncio.run(load_now)
    cores = f"{dispatcher[0]:.2f} | {api[0]:.2f}"
    for one in figures:
        p50, p95, p99 = (f"{one.percentile_ms(share):.1f}" for share in (0.5, 0.95, 0.99))
        line = f"| {one.what} {what} | {one.requests:,} | {p50} | {p95} | {p99} | {one.times_ms[-1]:.1f} | {cores} |"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue", description="Measures a long queue.")
    parser.add_argument("--jobs", type=int, default=5_000, metavar="N")
    parser.add_argument("--postgres", action="store_true", help="PostgreSQL instead of SQLite")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="of load")
    parser.add_argument("--reads", type=float, default=50.0, metavar="N", help="status requests a second")
    parser.add_argument("--submits", type=float, default=4.0, metavar="N", help="submits a second")
    args = parser.parse_args()
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="splatflow-queue-"))) / "group"
        os.environ |= {
            "SPLATFLOW_DEPLOYMENT": stand_in.DEPLOYMENT,
            "SPLATFLOW_WORKER_LIMIT": "1",
            "SPLATFLOW_DATA": str(data),
        }
        if args.postgres:
            os.environ["SPLATFLOW_DATABASE_URL"] = stack.enter_context(running_postgres()).new_database()
        database = Database(Settings().database)
        stack.callback(database.close)
        stack.callback(load_group.down, data)
        measure(args, data, database)


if __name__ == "__main__":
    main()
