"""How much memory a step may use on this machine, and whether the system has ended processes for lack of it."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # of version 2 and 1; "max" or a huge number: none
VMSTAT = Path("/proc/vmstat")
RESERVE_BYTES, RESERVE_PART = 1 << 30, 0.25  # for the system and the service: the smaller of the two
GPU_PART = 0.93  # the rest is the driver's, and is lost between blocks
NVIDIA_SMI_SECONDS = 20.0
MIB = 1 << 20


def usable_bytes(device: str, visible: Iterable[str]) -> int | None:
    """Memory that a step on this device may use: of the machine or the container, or of the smallest of the GPUs; None: not known.

    It is what there is, not what is free at this moment, so that the same job gets the same answer on the same machine.

    Args:
        device: "cpu" or "cuda".
        visible: numbers or UUIDs of the GPUs that it may be given.
    """
    if device == "cuda":
        return _gpu_bytes(set(visible))
    total = psutil.virtual_memory().total
    total = min([total, *_container_limits()])
    return total - min(RESERVE_BYTES, int(RESERVE_PART * total))


def oom_kills() -> int | None:
    """How many processes of this machine the system has ended for lack of memory since it started; None: it doesn't tell."""
    try:
        for line in VMSTAT.read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return None


def end_me_first() -> None:
    """Where memory runs out the system ends this process rather than the service that started it."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def _container_limits() -> list[int]:
    found = []
    for name in LIMITS:
        try:
            found.append(int((CGROUPS / name).read_text()))
        except (OSError, ValueError):
            continue
    return found


def _gpu_bytes(visible: set[str]) -> int | None:
    """Of a part of a GPU (MIG) nothing is known here."""
    program = shutil.which("nvidia-smi")
    if program is None or any(name.startswith("MIG-") for name in visible):
        return None
    command = [program, "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(
            command, capture_output=True, text=True, timeout=NVIDIA_SMI_SECONDS, check=True, env=dict(os.environ)
        ).stdout
        rows = [[word.strip() for word in line.split(",")] for line in told.splitlines() if line.strip()]
        sizes = [int(row[2]) * MIB for row in rows if not visible or row[0] in visible or row[1] in visible]
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return None
    return int(GPU_PART * min(sizes)) if sizes else None
