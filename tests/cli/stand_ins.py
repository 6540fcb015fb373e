"""Steps that do nothing but keep to the interface, so that the command line's own behaviour is tested fast and exactly.

`python -m tests.cli.stand_ins ARGS...` is the command line with these steps. The environment says what they do:
STAND_IN_PAUSE=step: that step waits in its middle until it is stopped or killed (a file at-<step> tells that it waits).
STAND_IN_FAIL=step:kind: that step fails; kinds below.
STAND_IN_LOG: a folder where each call leaves a line in calls.txt.
"""

import errno
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import NotAVideo, TooLittleOverlap

STEPS = 20


@dataclass(frozen=True, kw_only=True)
class Record:
    frames_seen: int = 9
    frames_kept: int = 8
    frames_given: int = 8
    frames_registered: int = 8
    num_gaussians: int = 1234
    coverage: float = 0.3
    metres_per_unit: float = 0.5
    relative_uncertainty: float = 0.002
    faces: int = 70
    warnings: tuple[str, ...] = ()


def extract(source: Path, out: Path, options: Any, progress: Callable[[int, int, str], None]) -> Record:
    _act("extract", out, progress)
    out.mkdir()
    (out / "frames.txt").write_text(f"{source.read_text()} {options.max_frames}")
    return Record()


def mask(extracted: Path, out: Path, options: Any, model: Path, progress: Callable[[int, int, str], None]) -> Record:
    _act("mask", out, progress)
    out.mkdir()
    (out / "mask.json").write_text(f"{(extracted / 'frames.txt').read_text()} {options.model} {model.name}")
    return Record()


def scale(posed: Path, out: Path, options: Any, progress: Callable[[int, int, str], None]) -> Record:
    _act("scale", out, progress)
    out.mkdir()
    (out / "scale.json").write_text(json.dumps({"metres_per_unit": options.tag_size_mm / 1000}))
    return Record()


def mesh(
    trained: Path,
    posed: Path,
    out: Path,
    options: Any,
    progress: Callable[[int, int, str], None],
    metres_per_unit: float | None,
) -> Record:
    _act("mesh", out, progress)
    _note(f"mesh in {metres_per_unit}")
    out.mkdir()
    (out / "mesh.glb").write_text((trained / "scene.ply").read_text())
    return Record()


def turntable(trained: Path, posed: Path, out: Path, options: Any, progress: Callable[[int, int, str], None]) -> Record:
    _act("turntable", out, progress)
    _note(f"turntable of {options.seconds} s at {options.side_px}, {options.path}")
    out.mkdir()
    (out / "turntable.mp4").write_text((trained / "scene.ply").read_text())
    return Record()


def reconstruct(
    extracted: Path,
    out: Path,
    options: Any,
    progress: Callable[[int, int, str], None],
    masks: Path | None = None,
) -> Record:
    _act("sfm", out, progress)
    if masks is not None:
        _note(f"sfm with {(masks / 'mask.json').read_text()}")
    (out / "images").mkdir(parents=True)
    (out / "colmap").mkdir()
    (out / "images" / "a.jpg").write_text((extracted / "frames.txt").read_text())
    (out / "colmap" / "cameras.bin").write_text(options.method)
    return Record()


def train(posed: Path, out: Path, options: Any, progress: Callable[[int, int, str], None]) -> Record:
    out.mkdir(exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    first = int(checkpoint.read_text()) if checkpoint.exists() else 0
    _note(f"train from {first}")
    done = first
    try:
        for done in range(first, STEPS):
            progress(done, STEPS, "training")
            if done == STEPS // 2:
                checkpoint.write_text(str(done))
                _act("train", out, progress)
    except BaseException:
        checkpoint.write_text(str(done))
        raise
    (out / "scene.ply").write_text(f"{(posed / 'images' / 'a.jpg').read_text()} {options.steps}")
    checkpoint.unlink()
    return Record()


def export(
    trained: Path, posed: Path, out: Path, context: Any, progress: Callable[[int, int, str], None], *, extras: Any
) -> Record:
    del posed
    out.mkdir()
    if extras.mesh is not None:
        (out / "mesh.glb").write_text((extras.mesh / "mesh.glb").read_text())
    if extras.turntable is not None:
        (out / "turntable.mp4").write_text((extras.turntable / "turntable.mp4").read_text())
    if extras.scale is not None:
        _note(f"export with {(extras.scale / 'scale.json').read_text()}")
    (out / "scene.ply").write_text((trained / "scene.ply").read_text())
    _act("export", out, progress)
    (out / "images").mkdir()
    (out / "images" / "a.jpg").write_text("a")
    files = {path.name: {} for path in out.iterdir()}
    report = {"context": str(type(context)), "warnings": ["mind the gap"], "files": files}
    (out / "report.json").write_text(json.dumps(report))
    return Record()


def _note(line: str) -> None:
    with (Path(os.environ["STAND_IN_LOG"]) / "calls.txt").open("a") as file:
        file.write(line + "\n")


def _act(step: str, out: Path, progress: Callable[[int, int, str], None]) -> None:
    _note(step)
    if os.environ.get("STAND_IN_PAUSE") == step:
        (Path(os.environ["STAND_IN_LOG"]) / f"at-{step}").touch()
        while True:
            progress(1, 2, "waiting")
            time.sleep(0.02)
    if os.environ.get("STAND_IN_PAUSE") == f"{step}:deaf":  # deep in native code: sees no wish to stop
        (Path(os.environ["STAND_IN_LOG"]) / f"at-{step}").touch()
        time.sleep(600)
    failing, _, kind = os.environ.get("STAND_IN_FAIL", "").partition(":")
    if failing == step:
        (out.parent / "half-written").write_text("x")
        _fail(kind)


def _fail(kind: str) -> None:
    if kind == "video":
        raise NotAVideo("This is no video; give one.")
    if kind == "overlap":
        raise TooLittleOverlap("The views don't connect; film slower.")
    if kind == "full":
        raise RuntimeError("something native failed") from OSError(errno.ENOSPC, "No space left on device")
    if kind == "memory":
        raise MemoryError
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    raise ValueError("an unforeseen thing")


def main() -> None:
    from cli import main as command
    from cli import pipeline

    for function in ("extract", "mask", "sfm", "scale", "train", "mesh", "turntable", "export"):
        name = "reconstruct" if function == "sfm" else function
        setattr(pipeline, function.upper(), f"tests.cli.stand_ins:{name}")
    if "STAND_IN_MODEL" in os.environ:  # instead of a network
        pipeline._mask_model = lambda _options: Path(os.environ["STAND_IN_MODEL"])
    command.main()


if __name__ == "__main__":
    main()
