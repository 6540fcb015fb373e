"""`splatflow doctor`: what this machine has, and what each of it means for the user."""

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil
from rich.console import Console
from rich.table import Table

from cli.presets import RunOptions
from tasks.presets import DEFAULT_OF_DEVICE
from tasks.process import device
from tasks.process.machine import usable_cores

GIB = 1 << 30
MIN_MEMORY_BYTES = 4 * GIB
MIN_DISK_BYTES = 2 * GIB
CODECS = {"h264": "most phones and cameras", "hevc": "iPhones, HDR", "vp9": "WebM", "av1": "newer phones, the web"}
MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "missing": "[red]missing[/]"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at.

    Attributes:
        name: what.
        state: "ok"; "note": works, with a consequence; "missing": something can't be done.
        value: what was found.
        meaning: what follows for the user.
    """

    name: str
    state: Literal["ok", "note", "missing"]
    value: str
    meaning: str


def findings() -> list[Finding]:
    """Looks at everything; a look that fails is itself a finding."""
    found = []
    for look in (_python, _compiler, _cores, _simd, _memory, _gpu, _video, _heic, _masks, _mesh, _disk):
        try:
            found.append(look())
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            found.append(
                Finding(name=look.__name__[1:], state="missing", value=text, meaning="the installation is damaged")
            )
    return found


def show(*, as_json: bool, write: Callable[[str], object] = print) -> None:
    """Prints the findings, as a table or as a JSON list."""
    found = findings()
    if as_json:
        write(json.dumps([asdict(f) for f in found], indent=2))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for _ in range(4):
        table.add_column(overflow="fold")
    for f in found:
        table.add_row(f"[bold]{f.name}[/]", MARKS[f.state], f.value, f.meaning)
    Console().print(table)


def _python() -> Finding:
    import torch

    value = f"{platform.python_version()}, PyTorch {torch.__version__}"
    return Finding(name="Python", state="ok", value=value, meaning=sys.executable)


def _compiler() -> Finding:
    names = [name for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++") if name and shutil.which(name)]
    if names:
        return Finding(name="compiler", state="ok", value=names[0], meaning="can rebuild the rasteriser")
    return Finding(
        name="compiler",
        state="note",
        value="none",
        meaning="only needed to build; install g++ before the next make setup",
    )


def _cores() -> Finding:
    usable = usable_cores()
    meaning = "all steps use them all" if usable > 1 else "expect twice the times given for two cores"
    return Finding(name="cores", state="ok" if usable > 1 else "note", value=str(usable), meaning=meaning)


def _simd() -> Finding:
    from tasks.train.raster import native

    level = native.simd_level()
    if level == "portable":
        return Finding(
            name="SIMD",
            state="note",
            value=level,
            meaning="CPU training works, several times slower than with AVX2 or AVX-512",
        )
    return Finding(name="SIMD", state="ok", value=level, meaning="CPU training uses it")


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    total = min(memory.total, _container_limit() or memory.total)
    value = f"{total / GIB:.1f} GiB, {min(memory.available, total) / GIB:.1f} free"
    if total < MIN_MEMORY_BYTES:
        return Finding(
            name="memory",
            state="note",
            value=value,
            meaning="small: use --preset quick, or lower --max-frames and --max-gaussians",
        )
    return Finding(name="memory", state="ok", value=value, meaning="enough up to training for 4K clips and 600 frames")


def _container_limit() -> int | None:
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _gpu() -> Finding:
    missing = device.why_no_cuda()
    if missing:
        meaning = (
            f"training runs on the CPU rasteriser; default preset {DEFAULT_OF_DEVICE['cpu']}: "
            "a short clip takes some minutes on two cores"
        )
        return Finding(name="CUDA", state="note", value=missing, meaning=meaning)
    import torch

    names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    return Finding(name="CUDA", state="ok", value=names, meaning=f"default preset {DEFAULT_OF_DEVICE['cuda']}")


def _video() -> Finding:
    import av

    have = [name for name in CODECS if name in av.codecs_available and _decodes(name)]
    lost = [f"{name} ({use})" for name, use in CODECS.items() if name not in have]
    meaning = f"can't read {', '.join(lost)}" if lost else "reads clips of phones, cameras and the web"
    return Finding(name="video", state="missing" if lost else "ok", value=", ".join(have) or "none", meaning=meaning)


def _decodes(name: str) -> bool:
    from av.codec import Codec

    try:
        Codec(name, "r")
    except ValueError:  # av's UnknownCodecError is one
        return False
    return True


def _heic() -> Finding:
    try:
        import pi_heif
    except ImportError:
        return Finding(
            name="HEIC", state="missing", value="no", meaning="iPhone photos must be converted to JPEG first"
        )
    return Finding(name="HEIC", state="ok", value=f"pi-heif {pi_heif.__version__}", meaning="reads iPhone photos")


def _masks() -> Finding:
    from tasks.errors import MachineError
    from tasks.mask.model import check_model, find_model

    home = os.environ.get("REMBG_HOME")
    try:
        model = find_model(Path(home) if home else None, RunOptions.mask_model)
        check_model(model, RunOptions.mask_model)
    except MachineError as error:
        return Finding(name="masks", state="note", value="no model", meaning=f"--remove-background fails: {error}")
    return Finding(name="masks", state="ok", value=model.name, meaning="--remove-background works")


def _mesh() -> Finding:
    from tasks.errors import MeshUnavailable
    from tasks.mesh.require import require

    try:
        require()
    except MeshUnavailable as error:
        return Finding(name="mesh", state="note", value="no Open3D", meaning=f"--mesh fails: {error}")
    return Finding(name="mesh", state="ok", value="Open3D", meaning="--mesh works")


def _disk() -> Finding:
    from storage.settings import load_settings

    settings = load_settings()
    if settings.disk_low_bytes and settings.object_store == "local":
        folder = next(path for path in (settings.object_folder, *settings.object_folder.parents) if path.is_dir())
        free, low = shutil.disk_usage(folder).free, settings.disk_low_bytes
        value = f"{free / GIB:.1f} GiB free in {folder}, watermark {low / GIB:.1f}"
        if free < low:
            meaning = "below SPLATFLOW_DISK_LOW_BYTES: the service takes no new uploads until there is more"
            return Finding(name="disk", state="note", value=value, meaning=meaning)
        return Finding(name="disk", state="ok", value=value, meaning="the service takes uploads")
    free = shutil.disk_usage(Path.cwd()).free
    value = f"{free / GIB:.1f} GiB free here"
    if free < MIN_DISK_BYTES:
        return Finding(name="disk", state="note", value=value, meaning="little: a run of 600 frames needs about 2 GiB")
    return Finding(name="disk", state="ok", value=value, meaning="a run of 600 frames needs about 2 GiB")
