"""Which device a run uses."""

import importlib.util
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
