"""What the command line and a step's process say to each other. Both are the same program, so pickles are safe here."""

import importlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Job:
    """One call of a step's function in a process of its own.

    Attributes:
        function: "package.module:name"; called with `arguments` and `progress`.
        arguments: picklable keyword arguments.
        out: the folder that the step writes; the machine's faults with it are told as ours.
    """

    function: str
    arguments: dict[str, Any]
    out: Path

    def resolve(self) -> Callable[..., Any]:
        """The function, imported."""
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)


@dataclass(frozen=True, kw_only=True)
class Progressed:
    """`done` of `total` of something that `message` names."""

    done: int
    total: int
    message: str


@dataclass(frozen=True, kw_only=True)
class Done:
    """The step ended well."""

    record: dict[str, Any]
    peak_memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """The step ended because it was asked to."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The step raised.

    Attributes:
        error: name of the class in `tasks.errors`, or "" for a defect.
        message: the sentence, or the exception's text.
        trace: the traceback.
    """

    error: str
    message: str
    trace: str


def plain_record(record: Any) -> dict[str, Any]:
    """A step's record as JSON types."""
    if is_dataclass(record) and not isinstance(record, type):
        return asdict(record)
    return {str(key): value for key, value in record.items()} if isinstance(record, dict) else {}


def plain_value(value: Any) -> Any:
    """What JSON's encoder asks of values that it doesn't know: NumPy's scalars and arrays, and paths as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def json_record(record: dict[str, Any]) -> dict[str, Any]:
    """A record as it comes back from JSON: lists for tuples, numbers for NumPy's."""
    return json.loads(json.dumps(record, default=plain_value))
