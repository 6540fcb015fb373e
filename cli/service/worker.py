"""A Prefect process worker for one pool: `python -m cli.service.worker POOL`.

The same as `prefect worker start`, without the second that Prefect's command line takes to import, and it waits for its pool
instead of asking for one.
"""

import asyncio
import os
import platform
import sys

from cli.service.prefect_api import PrefectAnswered, call
from tasks.process.device import visible_gpus

WAIT_SECONDS = 0.2
HOUSEKEEPING_LIMIT = 2


def name(pool: str, group_id: str) -> str:
    """The worker's name in Prefect: the same after a restart."""
    return f"{platform.node() or 'host'}-{pool}-{group_id[:6]}"


def limit(pool: str) -> int:
    """Runs at a time: the setting, else one more than there are GPUs, so that the next job's CPU steps overlap."""
    from storage.settings import load_settings

    if pool != "gpu":
        return HOUSEKEEPING_LIMIT
    gpus = len(visible_gpus())
    return load_settings().worker_limit or (gpus + 1 if gpus else 1)


def tidy() -> None:
    """Removes what runs that ended with this host left in its scratch space. Without the database nothing is removed."""
    from storage.database import database
    from storage.settings import load_settings
    from tasks.errors import TransientError
    from tasks.service import scratch

    try:
        count, size = scratch.sweep(load_settings().work_folder, database())
    except TransientError as error:
        print(f"Scratch space was not looked through: {error}", file=sys.stderr, flush=True)
        return
    if count:
        print(f"Scratch space: {count} work folder(s) of earlier runs removed, {size / 1e6:.1f} MB.", flush=True)


async def work(pool: str) -> None:
    """Works until it is killed."""
    from prefect.settings import get_current_settings

    from cli.service.patient_worker import PatientWorker

    settings = get_current_settings()
    api_url = os.environ["PREFECT_API_URL"]
    while not await asyncio.to_thread(_there, api_url, pool):
        await asyncio.sleep(WAIT_SECONDS)
    if pool == "gpu":
        await asyncio.to_thread(tidy)
    worker = PatientWorker(
        name=name(pool, os.environ["SPLATFLOW_GROUP"]),
        work_pool_name=pool,
        limit=limit(pool),
        prefetch_seconds=settings.worker.prefetch_seconds,
        heartbeat_interval_seconds=int(settings.worker.heartbeat_seconds),
        create_pool_if_not_found=False,
    )
    await worker.start()


def _there(api_url: str, pool: str) -> bool:
    try:
        call(api_url, "GET", f"/work_pools/{pool}")
    except (OSError, PrefectAnswered):
        return False
    return True


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
