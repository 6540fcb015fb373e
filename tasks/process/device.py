"""Which device a run uses."""

import importlib.util
import os
import shutil
from pathlib import Path

from tasks.errors import BadOption, DeviceUnavailable

DEVICES = ("auto", "cpu", "cuda")


def resolve(wanted: str) -> str:
    """ "cpu" or "cuda" for "auto", "cpu" or "cuda".

    Raises:
        BadOption: any other word.
        DeviceUnavailable: "cuda" on a machine that can't.
    """
    if wanted not in DEVICES:
        raise BadOption(f"--device is {wanted!r}; choose one of {', '.join(DEVICES)}.")
    if wanted == "cpu":
        return "cpu"
    missing = why_no_cuda()
    if wanted == "cuda" and missing:
        raise DeviceUnavailable(f"CUDA can't be used: {missing}; leave --device out to use the CPU.")
    return "cpu" if missing else "cuda"


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` takes them: numbers, or the names (UUID, MIG) given there.

    Counted by device files, without the seconds that importing PyTorch takes. As in CUDA, what follows a number that there isn't
    counts no more.
    """
    there = [str(number) for number in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return there
    found: list[str] = []
    for name in (word.strip() for word in given.split(",")):
        if not (name in there or (there and name.startswith(("GPU-", "MIG-")))) or name in found:
            break
        found.append(name)
    return found


def why_no_cuda() -> str:
    """What is missing for training on a GPU, or "" when nothing is."""
    # Importing torch takes seconds; without a driver the answer is known.
    if not any(Path("/dev").glob("nvidia[0-9]*")) and shutil.which("nvidia-smi") is None:
        return "no NVIDIA GPU was found"
    import torch

    if not torch.version.cuda:
        return "the installed PyTorch is a CPU build (make setup TORCH=cuda)"
    if not torch.cuda.is_available():
        return "PyTorch finds no usable NVIDIA GPU (is the driver recent enough?)"
    if importlib.util.find_spec("gsplat") is None:
        return "gsplat is not installed (make setup TORCH=cuda)"
    return ""
