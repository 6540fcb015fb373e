"""What a step may use of memory. GPUs are made up: `nvidia-smi` is a script here."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from tasks.errors import OutOfMemory
from tasks.process import memory, runner
from tasks.process.messages import Job
from tasks.process.runner import StepKilled, run_step
from tasks.process.worker import explain

GIB = 1 << 30


def kills_itself(progress: object) -> None:
    """A step that is ended from outside."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_machine_or_the_container_is_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    total = psutil.virtual_memory().total
    assert memory.usable_bytes("cpu", []) == total - min(GIB, int(total / 4))
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.usable_bytes("cpu", []) == total - min(GIB, int(total / 4))
    (tmp_path / "memory.max").write_text(f"{2 * GIB}\n")
    assert memory.usable_bytes("cpu", []) == 2 * GIB - GIB // 2
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(f"{GIB}\n")
    assert memory.usable_bytes("cpu", []) == GIB - GIB // 4


@pytest.mark.parametrize(
    ("visible", "mib"),
    [
        (["0", "1"], 8_000),
        (["1"], 80_000),
        (["GPU-b"], 80_000),
        ([], 8_000),
        (["7"], None),
        (["MIG-c"], None),
    ],
)
def test_the_smallest_gpu_is_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: list[str], mib: int | None
):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, GPU-a, 8000'\necho '1, GPU-b, 80000'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    expected = None if mib is None else int(memory.GPU_PART * mib * memory.MIB)
    assert memory.usable_bytes("cuda", visible) == expected


@pytest.mark.parametrize("told", ["", "exit 9", "echo 'no devices were found'", "echo '0, GPU-a, [N/A]'"])
def test_what_can_not_be_known_is_not_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{told}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert memory.usable_bytes("cuda", []) is None
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert memory.usable_bytes("cuda", []) is None


def test_the_systems_count_of_kills_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "VMSTAT", tmp_path / "vmstat")
    assert memory.oom_kills() is None
    (tmp_path / "vmstat").write_text("nr_free_pages 1\noom_kill 17\nother 2\n")
    assert memory.oom_kills() == 17


@pytest.mark.parametrize(("counts", "kind"), [([3, 4], OutOfMemory), ([3, 3], StepKilled), ([None, None], StepKilled)])
def test_a_kill_by_the_system_is_told_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: list[int | None], kind: type[OutOfMemory]
):
    counts = list(counts)
    monkeypatch.setattr(runner.memory, "oom_kills", lambda: counts.pop(0))
    job = Job(function="tests.process.test_memory:kills_itself", arguments={}, out=tmp_path / "out")
    with pytest.raises(OutOfMemory) as caught:
        run_step(job, lambda *_: None, tmp_path / "log")
    assert type(caught.value) is kind


def test_allocators_words_for_too_little_memory_are_known(tmp_path: Path):
    import torch

    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**14)
    assert isinstance(explain(caught.value, tmp_path), OutOfMemory)
    assert isinstance(explain(torch.cuda.OutOfMemoryError("CUDA out of memory."), tmp_path), OutOfMemory)
    assert isinstance(explain(MemoryError(), tmp_path), OutOfMemory)
    assert explain(RuntimeError("something else"), tmp_path) is None
