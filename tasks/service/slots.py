"""The slot that a training holds: one of this host's GPUs, or its CPU. It is free again when its attempt has ended in any way."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.settings import Settings
from tasks.service.run import JobRun

POLL_SECONDS = 1.0


def slots_of_host(settings: Settings, device: str) -> list[str]:
    """Names of this host's slots: as the settings say, else one per GPU, else one for the CPU."""
    if settings.slots:
        names = [name.strip() for name in settings.slots.split(",") if name.strip()]
    elif device == "cuda":
        names = [f"cuda:{number}" for number in range(max(gpus(), 1))]
    else:
        names = ["cpu"]
    return [f"{socket.gethostname()}/{name}" for name in names]


def gpus() -> int:
    """NVIDIA GPUs of this host."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


@contextmanager
def training_slot(run: JobRun) -> Iterator[dict[str, str]]:
    """Waits for a slot and holds it; yields the environment that keeps a process to it.

    Raises:
        AttemptLost: the job was ended while it waited.
    """
    names = slots_of_host(run.settings, run.device)
    waited = False
    while (name := run.attempt.take_slot(names)) is None:
        if not waited:
            run.log.info("Waiting for a free slot of %s.", ", ".join(names))
            waited = True
        run.check()
        time.sleep(POLL_SECONDS)
    try:
        _, _, slot = name.partition("/")
        yield {"CUDA_VISIBLE_DEVICES": slot.removeprefix("cuda:")} if slot.startswith("cuda:") else {}
    finally:
        run.attempt.release_slots()
