"""Read by Python when it starts with this folder on its path, as the runs of `benchmarks/overlap.py` do; changes nothing of the product.

Where OVERLAP_SECONDS is set, the train step of a step's process waits for so long after its (short) training, without using the
processor: as a process waits whose GPU trains. There is no GPU in this; what it shows is who holds the slot when.
"""

import importlib.machinery
import os
import sys
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any

STEP = "tasks.train.step"
SECONDS = "OVERLAP_SECONDS"


class _Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != STEP:
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                vars(module)["train"] = _and_wait(vars(module)["train"])

            vars(spec.loader)["exec_module"] = exec_module
        return spec


def _and_wait(train: Any) -> Any:
    def waits(*args: Any, progress: Any, **options: Any) -> Any:
        record = train(*args, progress=progress, **options)
        end = time.monotonic() + float(os.environ[SECONDS])
        while time.monotonic() < end:
            time.sleep(0.5)
            progress(1, 1, "waiting as for a GPU")
        return record

    return waits


if SECONDS in os.environ:
    sys.meta_path.insert(0, _Finder)
