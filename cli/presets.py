"""Sets of options that suit a machine and a mood; any option given on the command line overrides its preset."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from tasks.errors import BadOption
from tasks.presets import DEFAULT_OF_DEVICE, PRESETS


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What the user can choose about a reconstruction, in force once preset and command line are merged.

    Attributes:
        preset: name of the preset that the rest began as.
        device: "cpu" or "cuda".
        steps: training steps.
        max_gaussians: cap on the number of Gaussians.
        max_frames: cap on the frames kept from the video.
        train_side_px: cap on the long side of the images that training sees; metrics are always at native size.
        sh_degree: degree of the spherical harmonics, 0 to 3.
        antialiased: train and render with the opacity-compensating (antialiased) rasteriser.
        method: the mapper of structure from motion, "glomap" or "colmap".
        seed: of every random choice.
        threads: worker threads; None means one per usable core.
        remove_background: keep the subject alone.
        mask_model: the segmentation model that tells the subject from the background.
        apriltag_size_mm: side of the tags' inner white square; given, they make the scene metric. None: none are looked for.
        apriltag_family: of the tags.
        mesh: make a mesh of the scene too.
        turntable: make a video that goes around in the scene too.
        turntable_seconds: its length.
        turntable_size: its long side, in pixels.
        turntable_path: "orbit", "sway", or "auto": what suits the capture.
    """

    preset: str
    device: str
    steps: int
    max_gaussians: int
    max_frames: int
    train_side_px: int
    sh_degree: int = 3
    antialiased: bool = False
    method: str = "glomap"
    seed: int = 0
    threads: int | None = None
    remove_background: bool = False
    mask_model: str = "u2netp"
    apriltag_size_mm: float | None = None
    apriltag_family: str = "tagStandard41h12"
    mesh: bool = False
    turntable: bool = False
    turntable_seconds: float = 6.0
    turntable_size: int = 960
    turntable_path: str = "auto"

    def __post_init__(self) -> None:
        bounds = {
            "steps": (1, 1_000_000),
            "max_gaussians": (100, 20_000_000),
            "max_frames": (3, 5_000),
            "train_side_px": (32, 1_600),
            "sh_degree": (0, 3),
            "seed": (0, 2**31 - 1),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise BadOption(f"--{name.replace('_', '-')} is {value}; give a whole number from {low:,} to {high:,}.")
        if self.method not in METHODS:
            raise BadOption(f"--method is {self.method!r}; choose one of {', '.join(METHODS)}.")
        if self.threads is not None and not 1 <= self.threads <= 1024:
            raise BadOption(f"--threads is {self.threads}; give a whole number from 1 to 1,024.")

        size = self.apriltag_size_mm
        if size is not None and not 1 <= size <= 1000:  # NaN is neither
            raise BadOption("AprilTag size must be between 1mm and 1000mm.")


METHODS = ("glomap", "colmap")
TURNTABLE = ("turntable_seconds", "turntable_size", "turntable_path")
ONLY_WITH = {
    "mask_model": "remove_background",
    "apriltag_family": "apriltag_size_mm",
    **dict.fromkeys(TURNTABLE, "turntable"),
}
EXTRAS = ("remove_background", "apriltag_size_mm", "mesh", "turntable")


def resolve(*, preset: str | None, device: str, overrides: dict[str, Any]) -> RunOptions:
    """The options in force: the preset (by device when none is named), then what the user gave.

    Args:
        preset: "quick", "standard", "full" or None.
        device: "cpu" or "cuda".
        overrides: values by `RunOptions` field name; None means not given.

    Raises:
        BadOption: an unknown preset, or a value out of range.
    """
    name = preset or DEFAULT_OF_DEVICE[device]
    if name not in PRESETS:
        raise BadOption(f"--preset is {name!r}; choose one of {', '.join(PRESETS)}.")
    unknown = overrides.keys() - {f.name for f in fields(RunOptions)}
    if unknown:
        raise ValueError(f"no such options: {sorted(unknown)}")
    given = {key: value for key, value in overrides.items() if value is not None}
    if any(key in given for key in TURNTABLE):  # who says how long it is wants one
        given["turntable"] = True
    return replace(RunOptions(preset=name, device=device, **PRESETS[name]), **given)


def describe(options: RunOptions, overridden: set[str]) -> list[str]:
    """Lines that tell the user what is in force, and which of it is the user's own choice."""
    lines = []
    for field in fields(options):
        if field.name == "preset" or _idle(options, field.name):
            continue
        value = getattr(options, field.name)
        shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
        shown = f"{value:g}" if isinstance(value, float) else shown
        if value is None:
            shown = "one per core"
        origin = "given" if field.name in overridden else "preset" if field.name in PRESETS["full"] else "default"
        lines.append(f"{field.name.replace('_', '-'):<17} {shown!s:<12} ({origin})")
    return lines


def in_force(options: RunOptions, *, posed: bool) -> dict[str, Any]:
    """The options by name, without those that a run on posed images doesn't use."""
    unused = {"preset"} | ({"max_frames", "method"} if posed else set())
    unused |= {name for name in asdict(options) if _idle(options, name)}
    return {name: value for name, value in asdict(options).items() if name not in unused}


def _idle(options: RunOptions, name: str) -> bool:
    """Whether an option is about something that is not asked for."""
    return not getattr(options, ONLY_WITH.get(name, name)) if name in ONLY_WITH or name in EXTRAS else False
