"""What a training run may be told."""

from dataclasses import dataclass
from typing import Literal

from tasks.errors import BadOption


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of the train step; the defaults are the service's.

    Raises BadOption when a value is out of its range.
    """

    steps: int = 25_000
    max_gaussians: int = 1_000_000
    train_side_px: int = 1_600  # long side of the pictures trained on; metrics are always computed at full size
    sh_degree: int = 3
    antialiased: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0
    threads: int | None = None  # None: every core this process may use
    checkpoint_every_seconds: float = 60.0
    preview_every_steps: int = 500

    def __post_init__(self) -> None:
        ranges = {
            "steps": (self.steps, 1, 1_000_000),
            "max_gaussians": (self.max_gaussians, 100, 20_000_000),
            "train_side_px": (self.train_side_px, 32, 8_192),
            "sh_degree": (self.sh_degree, 0, 3),
            "seed": (self.seed, 0, 2**63 - 1),
            "preview_every_steps": (self.preview_every_steps, 1, 1_000_000),
        }
        for name, (value, low, high) in ranges.items():
            if not low <= value <= high:
                raise BadOption(f"{name.replace('_', '-')} must lie between {low:,} and {high:,}, not {value:,}.")
        if self.device not in ("auto", "cpu", "cuda"):
            raise BadOption(f"device must be auto, cpu or cuda, not {self.device!r}.")
        if self.threads is not None and self.threads < 1:
            raise BadOption(f"threads must be at least 1, not {self.threads}.")
