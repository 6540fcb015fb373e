"""From the options of a run to those of each step, and what steps need, looked for before any work.

Steps are imported when they are asked for: some take seconds.
"""

from pathlib import Path
from typing import Any

from cli.presets import RunOptions
from tasks.process import digest


def extract_options(options: RunOptions) -> Any:
    """Of extract."""
    from tasks.extract.options import ExtractOptions

    return ExtractOptions(max_frames=options.max_frames)


def sfm_options(options: RunOptions) -> Any:
    """Of structure from motion."""
    from tasks.sfm.options import SfmOptions

    return SfmOptions(method=options.method, seed=options.seed, num_threads=options.threads)  # type: ignore[arg-type]


def require_mesh() -> None:
    """Raises MeshUnavailable when what a mesh needs isn't there."""
    from tasks.mesh.require import require

    require()


def require_turntable() -> None:
    """Raises VideoEncoderMissing when there is none for a turntable."""
    from tasks.turntable.encode import choose_encoder

    choose_encoder()


def mask_options(options: RunOptions, model: Path) -> Any:
    """Of background removal with the model file that was found."""
    from tasks.mask.options import MaskOptions

    return MaskOptions(model=options.mask_model, model_sha256=digest.of_file(model))


def scale_options(options: RunOptions) -> Any:
    """Of the search for tags; BadOption for a family that there isn't."""
    from tasks.scale.options import ScaleOptions

    assert options.apriltag_size_mm is not None
    return ScaleOptions(tag_size_mm=options.apriltag_size_mm, family=options.apriltag_family)


def mesh_options(options: RunOptions) -> Any:
    """Of the mesh."""
    from tasks.mesh.options import MeshOptions

    return MeshOptions(device=options.device, threads=options.threads)  # type: ignore[arg-type]


def turntable_options(options: RunOptions) -> Any:
    """Of the turntable; BadOption for a value out of its range."""
    from tasks.turntable.options import TurntableOptions

    return TurntableOptions(
        seconds=options.turntable_seconds,
        side_px=options.turntable_size,
        path=options.turntable_path,  # type: ignore[arg-type]
        device=options.device,  # type: ignore[arg-type]
        threads=options.threads,
    )


def train_options(options: RunOptions) -> Any:
    """Of training."""
    from tasks.train.options import TrainOptions

    return TrainOptions(
        steps=options.steps,
        max_gaussians=options.max_gaussians,
        train_side_px=options.train_side_px,
        sh_degree=options.sh_degree,
        antialiased=options.antialiased,
        device=options.device,  # type: ignore[arg-type]
        seed=options.seed,
        threads=options.threads,
    )
