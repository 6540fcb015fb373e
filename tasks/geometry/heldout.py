"""Which views are judged and never trained on."""

from collections.abc import Iterable

HELD_OUT_EVERY = 8


def held_out_names(names: Iterable[str]) -> list[str]:
    """Every 8th name in sorted order, beginning with the first.

    This is the split of the Mip-NeRF 360 benchmark, so that figures compare with everybody else's.
    """
    return sorted(names)[::HELD_OUT_EVERY]
