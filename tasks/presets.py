"""Sets of options that suit a machine and a mood. The service takes from them what a client may leave open by device."""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"steps": 1_000, "max_gaussians": 30_000, "max_frames": 80, "train_side_px": 480},
    "standard": {"steps": 3_000, "max_gaussians": 100_000, "max_frames": 150, "train_side_px": 640},
    "full": {"steps": 25_000, "max_gaussians": 1_000_000, "max_frames": 600, "train_side_px": 1_600},
}
DEFAULT_OF_DEVICE = {"cpu": "standard", "cuda": "full"}
