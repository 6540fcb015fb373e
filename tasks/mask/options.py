"""What a caller can choose about masks, and what it gets told."""

from dataclasses import dataclass
from typing import Literal

from tasks.errors import BadOption

Background = Literal["moves", "stands_still"]

# Models of rembg that give one foreground map, with the side of the square that each looks at.
MODELS: dict[str, int] = {
    "u2netp": 320,
    "u2net": 320,
    "u2net_human_seg": 320,
    "silueta": 320,
    "isnet-general-use": 1024,
    "isnet-anime": 1024,
    "bria-rmbg": 1024,
    "birefnet-general": 1024,
    "birefnet-general-lite": 1024,
    "birefnet-general-fp16": 1024,
    "birefnet-portrait": 1024,
    "birefnet-dis": 1024,
    "birefnet-hrsod": 1024,
    "birefnet-cod": 1024,
    "birefnet-massive": 1024,
}


def side_of(model: str) -> int:
    """Side in pixels of the square that a model looks at.

    Raises: BadOption for a name that is none of `MODELS`.
    """
    if model not in MODELS:
        raise BadOption(f"There is no mask model {model!r}; choose one of {', '.join(MODELS)}.")
    return MODELS[model]


@dataclass(frozen=True, kw_only=True)
class MaskOptions:
    """Options of `tasks.mask.step.mask`: all that decides its output, but the frames.

    Attributes:
        model: name of a rembg model (a key of `MODELS`); says how its input is prepared.
        model_sha256: of the model's file, hexadecimal; when given, another file is refused. "" leaves it open.
        looks: times that the model sees each frame, 1 or 2. Of two, one is the whole frame squeezed to a square, as rembg
            does it, the other the frame in its own shape, its surroundings filled with its reflection: what touches the
            frame's border is found by this one. The mean is far steadier than either.
        num_threads: worker threads; None means one per usable core.
    """

    model: str = "u2netp"
    model_sha256: str = ""
    looks: int = 2
    num_threads: int | None = None

    def __post_init__(self) -> None:
        side_of(self.model)
        if self.looks not in (1, 2):
            raise BadOption(f"looks is {self.looks}; give 1 or 2.")
        if self.num_threads is not None and self.num_threads < 1:
            raise BadOption(f"num_threads is {self.num_threads}; give 1 or more, or leave it out.")


@dataclass(frozen=True, kw_only=True)
class MaskRecord:
    """What the masks came to; the values of each frame are in `mask.json`.

    Attributes:
        frames: masks written.
        frames_with_subject: those in which something was found.
        coverage: mean part of the frame that the subject fills, 0 to 1, over the frames that show it.
        mended: names of frames whose own mask was contradicted by their neighbours' and mended.
        background: "stands_still" when the subject turned before a background that did not move.
        model: name of the model; model_sha256: of its file.
        seconds_per_frame: wall time.
        warnings: sentences for people.
    """

    frames: int
    frames_with_subject: int
    coverage: float
    mended: tuple[str, ...]
    background: Background
    model: str
    model_sha256: str
    seconds_per_frame: float
    warnings: tuple[str, ...]
