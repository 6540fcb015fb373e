"""Room on the disks of this machine that uploads would take from work that is under way (`SPLATFLOW_DISK_LOW_BYTES`)."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.errors import ApiError
from storage.settings import Settings

CODE, STATUS = "disk_low", 507
RETRY_AFTER_SECONDS = 60
LOOK_BYTES = 8 << 20  # received between two looks


def free_bytes(settings: Settings) -> dict[str, int]:
    """What is free where uploads go, "objects", and where runs of this machine work, "scratch"; not of a store elsewhere."""
    folders = {"scratch": settings.work_folder} if settings.work_folder.is_dir() else {}
    if settings.object_store == "local":
        folders["objects"] = settings.object_folder
    return {name: _free(folder) for name, folder in folders.items()}


def refuse_when_low(settings: Settings, more: int = 0) -> None:
    """Refuses what would leave less free on the local store's disk, or on that of scratch space beside it, than the settings say.

    Args:
        more: bytes that are to come.

    Raises:
        ApiError: 507.
    """
    low = settings.disk_low_bytes
    if low == 0 or settings.object_store != "local":
        return
    free = free_bytes(settings)
    if free["objects"] - more < low or free.get("scratch", low) < low:
        message = (
            f"The disk of this service is nearly full ({min(free.values())} bytes free), so it takes no new uploads now; "
            "jobs go on. Try again later, or ask its operator for room."
        )
        raise ApiError(STATUS, CODE, message, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


async def while_there_is_room(chunks: AsyncIterator[bytes], settings: Settings) -> AsyncIterator[bytes]:
    """What comes, as long as the disk has room: others write too, and not everybody says how much they send.

    Raises:
        ApiError: 507.
    """
    received = LOOK_BYTES
    async for chunk in chunks:
        received += len(chunk)
        if received >= LOOK_BYTES:
            refuse_when_low(settings)
            received = 0
        yield chunk


class DiskCollector(Collector):
    """Free bytes at the moment of the question."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def collect(self) -> Iterator[Metric]:
        free = GaugeMetricFamily(
            "splatflow_disk_free_bytes", "Free on the disks of this machine, by what is there.", labels=["folder"]
        )
        for name, size in free_bytes(self._settings).items():
            free.add_metric([name], size)
        yield free
        yield GaugeMetricFamily(
            "splatflow_disk_low_bytes",
            "With less than this free no new uploads are taken; 0: they always are.",
            value=self._settings.disk_low_bytes,
        )


def _free(folder: Path) -> int:
    return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.is_dir())).free
