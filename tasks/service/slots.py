"""The slot that a step holds while it works on the run's device: one of this host's GPUs, or its CPU for a training. It is free
again when its attempt has ended in any way.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from storage.settings import Settings
from tasks.errors import TransientError
from tasks.process.device import visible_gpus
from tasks.service.run import JobRun

POLL_SECONDS = 1.0
GPU, NAMED = "cuda:", ("GPU-", "MIG-")


def slots_of_host(settings: Settings, device: str) -> list[str]:
    """Names of this host's slots: as the settings say, else one per GPU that this process may use, else one for the CPU."""
    if settings.slots:
        names = [name.strip() for name in settings.slots.split(",") if name.strip()]
    elif device == "cuda":
        names = [f"{GPU}{name}" for name in visible_gpus() or ["0"]]
    else:
        names = ["cpu"]
    return [f"{socket.gethostname()}/{name}" for name in names]


def environment_of(slot: str) -> dict[str, str]:
    """What keeps a process to a slot: `cuda:0`, `cuda:GPU-...`, `cuda:MIG-...`, and the latter two also as `nvidia-smi -L` prints them.

    Other names are words that only count how many may work at once.
    """
    if slot.startswith(GPU) or slot.startswith(NAMED):
        return {"CUDA_VISIBLE_DEVICES": slot.removeprefix(GPU)}
    return {}


def gpu_slot(run: JobRun) -> AbstractContextManager[dict[str, str]] | None:
    """A slot for a step that uses a GPU where there is one, and the CPU without a slot where there is none."""
    return training_slot(run) if run.device == "cuda" else None


@contextmanager
def training_slot(run: JobRun) -> Iterator[dict[str, str]]:
    """Waits for a slot and holds it; yields the environment that keeps a process to it.

    Raises:
        AttemptLost: the job was ended while it waited.
    """
    names = slots_of_host(run.settings, run.device)
    waited = False
    while (name := run.patiently(lambda: run.attempt.take_slot(names))) is None:
        if not waited:
            run.log.info("Waiting for a free slot of %s.", ", ".join(names))
            waited = True
        run.check()
        time.sleep(POLL_SECONDS)
    run.log.info("Holding slot %s.", name)
    try:
        yield environment_of(name.partition("/")[2])
    finally:
        try:
            run.attempt.release_slots()
            run.log.info("Slot %s is free.", name)
        except TransientError as error:  # what was made meanwhile counts more; it is free when the attempt ends
            run.log.warning("Slot %s was not given back yet: %s", name, error)
