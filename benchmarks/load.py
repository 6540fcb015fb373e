"""What the service answers a second, how long it takes, and what it costs: Markdown tables on standard output.

    python -m benchmarks.load fill --data DIR --jobs 10000         an account with so many jobs; prints its key as JSON
    python -m benchmarks.load rates --url URL --key KEY            as many requests as a running service takes
    python -m benchmarks.load beside --url URL --key KEY CLIP      answers beside a reconstruction of the clip
    python -m benchmarks.load group CLIP                           all of it, on a group of its own in a temporary folder

A key for `rates` and `beside` needs ample limits; that of `fill` has them. As many requests as possible are sent over a few
connections, each sending its next one when it has its answer. Beside a reconstruction requests start at even times whatever the
answers take.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks import load_bare, load_group, load_jobs
from benchmarks.load_fill import fill
from benchmarks.load_http import HEADING, LoadError, Target, closed_loop
from cli.service.keys import opened
from storage.database import Database
from tasks.errors import SplatflowError

CONNECTIONS = 8
SECONDS = 10.0
REST_SECONDS = 60.0
SETTLE_SECONDS = 20.0


async def rates(target: Target, *, connections: int, seconds: float) -> None:
    """Prints the table of details and pages, and of the peer."""
    ids = load_jobs.job_ids(target)
    if not ids:
        raise LoadError("The account has no jobs to ask for; `fill` makes some.")
    print(f"{len(ids):,} jobs, {connections} connections\n\n{HEADING}")
    pages = [f"jobs/?limit=100&offset={offset}" for offset in range(0, max(1, len(ids) - 99), 100)]
    first = None
    for what, paths in {
        "jobs/{id}/": [f"jobs/{job}/" for job in ids],
        "jobs/?limit=100 (newest)": ["jobs/?limit=100"],
        "jobs/?limit=100&offset=... (any page)": pages,
    }.items():
        requests = [target.request(path) for path in paths]
        figures = await closed_loop(target, what, requests, connections=connections, seconds=seconds)
        print(figures.markdown(), flush=True)
        first = first or figures
    with target.client() as client:
        bodies = [client.get(f"jobs/{job}/").raise_for_status().content for job in ids[:200]]
    body = sorted(bodies, key=len)[len(bodies) // 2]
    with load_bare.running(body) as url:
        peer = Target(url=url, key=target.key)
        requests = [peer.request(f"jobs/{job}/") for job in ids]
        what = f"peer: a bare application, {len(body):,} constant bytes"
        figures = await closed_loop(peer, what, requests, connections=connections, seconds=seconds)
    print(figures.markdown(), flush=True)
    assert first is not None
    print(f"\njobs/{{id}}/ against the peer: {first.a_second / figures.a_second:.2f} of its requests a second")


async def beside(target: Target, job_target: Target, clip: Path, args: argparse.Namespace) -> None:
    """Prints the line of answers beside a reconstruction, and how long that took."""
    paths = [f"jobs/{job}/" for job in load_jobs.job_ids(target)]
    found = await load_jobs.beside(
        target, job_target, clip, paths, connections=args.connections, rate=args.rate, steps=args.steps
    )
    print(f"{HEADING}\n{found.figures.markdown()}\n\nThe job beside it: {json.dumps(found.job['quality'])}", flush=True)


def group(args: argparse.Namespace) -> None:
    """Prints everything, of a group that is started for it."""
    with tempfile.TemporaryDirectory(prefix="splatflow-load-") as folder:
        data = Path(folder) / "group"
        with load_group.running(data) as (_, cold):
            pass
        with load_group.running(data) as (url, warm):
            print(f"up --detach: {cold:.1f} s with a new folder, {warm:.1f} s with one that was used", flush=True)
            time.sleep(SETTLE_SECONDS)
            _show_rest(data)
            with opened(data) as database:
                _measure_group(database, url, args)


def _show_rest(data: Path) -> None:
    rest = load_group.rest(data, seconds=REST_SECONDS)
    print(f"\nAt rest: {rest.cores:.3f} cores, {rest.mib:.0f} MiB\n\n| part | cores | MiB |\n|---|---|---|")
    for name, (cores, mib) in sorted(rest.by_part.items()):
        print(f"| {name} | {cores:.3f} | {mib:.0f} |", flush=True)


def _measure_group(database: Database, url: str, args: argparse.Namespace) -> None:
    own = fill(database, 0)
    job_target, rows_left = Target(url=url, key=own["key"]), load_group.rows_left_of(database, own["account"])
    lines = load_jobs.first_line_seconds(job_target, args.clip, rows_left, times=5)
    print(
        f"\nFrom submit to the first line of its run (least, median, most of 5): {load_jobs.told(lines)}\n", flush=True
    )

    filled = fill(database, args.jobs)
    target = Target(url=url, key=filled["key"])
    print(f"Jobs: {filled['jobs']}")
    asyncio.run(rates(target, connections=args.connections, seconds=args.seconds))

    blob_name = load_jobs.upload(job_target, args.clip)
    figures = asyncio.run(load_jobs.submits(job_target, blob_name, connections=args.connections, seconds=2.0))
    print(f"\n{HEADING}\n{figures.markdown()}", flush=True)
    count, seconds = load_jobs.delete_all(job_target, rows_left)
    print(f"\n{count} of these jobs deleted, and nothing left of them, after {seconds:.0f} s\n", flush=True)
    asyncio.run(beside(target, job_target, args.clip, args))


def _fill(args: argparse.Namespace) -> None:
    with opened(args.data) as database:
        print(json.dumps(fill(database, args.jobs)))


def _rates(args: argparse.Namespace) -> None:
    asyncio.run(rates(_target(args), connections=args.connections, seconds=args.seconds))


def _beside(args: argparse.Namespace) -> None:
    asyncio.run(beside(_target(args), _target(args), args.clip, args))


def _target(args: argparse.Namespace) -> Target:
    return Target(url=args.url.rstrip("/"), key=args.key)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description="Measures the service.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    service, load, job = (argparse.ArgumentParser(add_help=False) for _ in range(3))
    service.add_argument("--url", required=True, help="such as http://127.0.0.1:8000")
    service.add_argument("--key", default=os.environ.get("SPLATFLOW_KEY", ""), help="default: SPLATFLOW_KEY")
    load.add_argument("--connections", type=int, default=CONNECTIONS, metavar="N")
    load.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help="of each line of the table")
    job.add_argument("clip", type=Path, metavar="CLIP", help="a video to reconstruct")
    job.add_argument("--rate", type=float, default=20.0, metavar="N", help="requests a second beside it")
    job.add_argument("--steps", type=int, default=load_jobs.STEPS, metavar="N", help="training steps")
    command = commands.add_parser("fill", help="make an account with many jobs")
    command.add_argument("--data", type=Path, required=True, metavar="DIR", help="a group's data folder")
    command.add_argument("--jobs", type=int, default=10_000, metavar="N")
    command.set_defaults(call=_fill)
    commands.add_parser("rates", parents=[service, load], help="as many requests as it takes").set_defaults(call=_rates)
    command = commands.add_parser("beside", parents=[service, load, job], help="beside a reconstruction")
    command.set_defaults(call=_beside)
    command = commands.add_parser("group", parents=[load, job], help="all of it on a group of its own")
    command.add_argument("--jobs", type=int, default=10_000, metavar="N")
    command.set_defaults(call=group)
    args = parser.parse_args()
    try:
        args.call(args)
    except (LoadError, SplatflowError, httpx.HTTPError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
