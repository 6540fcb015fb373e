"""The model's file: where it lies, and whether it is one. Nothing is ever downloaded."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.errors import MaskModelMissing, MaskModelUnusable
from tasks.mask.options import MODELS, side_of


def candidates(home: Path | None, name: str) -> list[Path]:
    """Places where a model's file is looked for, the first one first: rembg's own layout, then flat folders.

    Without a home these are rembg's defaults, `~/.rembg` and the `~/.u2net` of its older versions.
    """
    homes = [home] if home is not None else [Path.home() / ".rembg", Path.home() / ".u2net"]
    layouts = (Path("models") / name / f"{name}.onnx", Path(f"{name}.onnx"))
    return [base / layout for base in homes for layout in layouts]


def find_model(home: Path | None, name: str) -> Path:
    """The file of a model.

    Raises:
        BadOption: an unknown name.
        MaskModelMissing: no such file; the sentence says which file to put where.
    """
    side_of(name)
    places = candidates(home, name)
    for place in places:
        if place.is_file():
            return place
    raise MaskModelMissing(
        f"Removing backgrounds needs the model {name!r}, and {places[0]} isn't there; put rembg's {name}.onnx into that "
        "place, or set REMBG_HOME to a folder that holds it."
    )


def model_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of the file.

    Raises: MaskModelMissing.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MaskModelMissing(
            f"The mask model {path} can't be read ({error.strerror}); put it there again."
        ) from error


def check_model(path: Path, name: str | None = None) -> None:
    """Load the network without optimising it, and look at its first input and output.

    With a name, the size that rembg feeds to the model of that name is compared, too.

    Raises:
        MaskModelMissing: no such file.
        MaskModelUnusable: not ONNX, or a network that doesn't turn a picture into one map of its size.
    """
    if not path.is_file():
        raise MaskModelMissing(f"There is no mask model at {path}; put rembg's {name or 'u2netp'}.onnx there.")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # its complaint is raised, too
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class of its own for every way to be unreadable
        raise MaskModelUnusable(
            f"{path.name} is not a network that ONNX Runtime can load; put rembg's {name or 'u2netp'}.onnx in its place."
        ) from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    side = MODELS[name] if name is not None and name in MODELS else None
    fits = len(inputs) == 1 and bool(outputs) and _fits(inputs[0], 3, side) and _fits(outputs[0], 1, side)
    if not fits:
        wanted = f"{side}x{side}" if side else "square"
        raise MaskModelUnusable(
            f"{path.name} takes {_shape(inputs)} and gives {_shape(outputs)}, but a mask model takes a {wanted} RGB picture "
            f"and gives one map of its size; put rembg's {name or 'u2netp'}.onnx in its place."
        )


def _fits(value: object, channels: int, side: int | None) -> bool:
    """Whether an input or output is (batch, channels, side, side) floats; sizes that the file leaves open pass."""
    shape, kind = list(getattr(value, "shape", None) or []), str(getattr(value, "type", ""))
    if len(shape) != 4 or kind not in ("tensor(float)", "tensor(float16)"):
        return False
    batch, depth, height, width = (size if isinstance(size, int) else None for size in shape)
    sides = {size for size in (height, width) if size is not None}
    return batch in (None, 1) and depth in (None, channels) and len(sides) <= 1 and (side is None or sides <= {side})


def _shape(values: Sequence[Any]) -> str:
    return str(list(values[0].shape)) if values else "nothing"
