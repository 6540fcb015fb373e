"""What a training needs of memory, and how it is made smaller when there is less. Without PyTorch: asked before a training begins.

The figures for the CPU are measured (`benchmarks/memory.py`). Those for CUDA are counted, not measured, from what is allocated:
parameters, gradients and two moments of each, what is copied when Gaussians are added, the projected Gaussians of one view and their
tiles, the picture with what the loss keeps of it, and all pictures, which stay on the device.
"""

from dataclasses import dataclass, replace

from tasks.train.options import TrainOptions

EVALUATION_SIDE_PX = 1_600
LEAST_GAUSSIANS, LEAST_SIDE_PX = 20_000, 320
FEWER, SMALLER = 0.5, 0.7  # what one level leaves of the Gaussians, or of the side
LEVELS = 16  # more than there are between the largest and the least


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of a training on one kind of device.

    Attributes:
        program: bytes of the program and its libraries (on CUDA: of its context).
        gaussian: bytes of a Gaussian.
        pixel: bytes of a pixel of the picture trained on.
        tiles: bytes of a pixel for each cube root of the number of Gaussians: the more there are, the smaller they are, and the
            fewer tiles each one touches.
        stored: bytes of a pixel of each picture, kept for the whole run.
        margin: factor on everything.
    """

    program: float
    gaussian: float
    pixel: float
    tiles: float
    stored: float = 4.0
    margin: float = 1.1


COSTS = {
    "cpu": Cost(program=400e6, gaussian=1_650, pixel=310, tiles=10),
    "cuda": Cost(program=1_500e6, gaussian=2_300, pixel=600, tiles=20),
}
JUDGED = 0.3  # of a pixel's bytes, where only pictures are made and no gradients


def peak_bytes(
    *, gaussians: int, views: int, width_px: int, height_px: int, train_side_px: int, device: str = "cpu"
) -> int:
    """Most memory that a training takes at once, on the device that it trains on.

    Args:
        gaussians: the most that it may have.
        views: pictures in all.
        width_px, height_px: of a picture as it is on disk.
        train_side_px: long side that is trained on; the pictures are never enlarged.
        device: "cpu" or "cuda".
    """
    cost, side = COSTS[device], max(width_px, height_px, 1)
    trained = width_px * height_px * min(1.0, train_side_px / side) ** 2
    judged = width_px * height_px * min(1.0, EVALUATION_SIDE_PX / side) ** 2
    pixels = max(trained, JUDGED * judged)
    need = cost.program + cost.gaussian * gaussians + cost.stored * views * trained
    need += pixels * (cost.pixel + cost.tiles * gaussians ** (1 / 3))
    return round(cost.margin * need)


def smaller(options: TrainOptions, level: int) -> TrainOptions:
    """These options `level` times made smaller: fewer Gaussians first, then smaller pictures; equal to the level before at the least.

    What is asked for below the least stays as it is.
    """
    for _ in range(level):
        if options.max_gaussians > LEAST_GAUSSIANS:
            options = replace(options, max_gaussians=max(int(options.max_gaussians * FEWER), LEAST_GAUSSIANS))
        elif options.train_side_px > LEAST_SIDE_PX:
            options = replace(options, train_side_px=max(int(options.train_side_px * SMALLER), LEAST_SIDE_PX))
    return options


def level_that_fits(
    options: TrainOptions, *, views: int, width_px: int, height_px: int, device: str, memory_bytes: int, least: int = 0
) -> int | None:
    """How often the options must be made smaller, at least `least` times, to fit `memory_bytes`; None: even the least doesn't."""
    for level in range(least, LEVELS):
        fitted = smaller(options, level)
        need = peak_bytes(
            gaussians=fitted.max_gaussians,
            views=views,
            width_px=width_px,
            height_px=height_px,
            train_side_px=fitted.train_side_px,
            device=device,
        )
        if need <= memory_bytes:
            return level
        if level > least and fitted == smaller(options, level - 1):
            return None
    return None


def changes(before: TrainOptions, after: TrainOptions) -> str:
    """What was made smaller, for people."""
    told = []
    if after.max_gaussians != before.max_gaussians:
        told.append(f"at most {after.max_gaussians:,} Gaussians instead of {before.max_gaussians:,}")
    if after.train_side_px != before.train_side_px:
        told.append(f"pictures of {after.train_side_px:,} px instead of {before.train_side_px:,}")
    return " and ".join(told)
