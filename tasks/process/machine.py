"""What a report says of where it was made: the machine, and the versions of what matters."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

LIBRARIES = (
    "splatflow",
    "torch",
    "pycolmap",
    "av",
    "numpy",
    "opencv-python-headless",
    "gsplat",
    "rembg",
    "onnxruntime",
    "pupil-apriltags",
    "open3d-cpu",
    "open3d",
)


def versions() -> dict[str, str]:
    """Versions of what a result depends on; what isn't installed is left out."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine(device: str) -> dict[str, Any]:
    """What the run is on; the GPU only when it trains there."""
    found: dict[str, Any] = {
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
    }
    if device == "cuda":
        import torch

        found["gpu"] = torch.cuda.get_device_name()
    return found


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """The processor's name for people."""
    if sys.platform == "linux":
        try:
            for line in Path("/proc/cpuinfo").read_text().splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
        except OSError:
            pass
    return platform.processor() or platform.machine()
