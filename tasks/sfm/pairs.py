"""Which frames are compared with which."""

from tasks.sfm.matching import Pair


def sequential_pairs(count: int, overlap: int) -> list[Pair]:
    """Each frame with its next `overlap` ones, and with those 2^i further on while 2^i < 2^overlap: time linear in frames."""
    steps = set(range(1, overlap + 1)) | {2**i for i in range(1, overlap + 1)}
    return sorted((i, i + step) for step in steps for i in range(count - step))


def exhaustive_pairs(count: int) -> list[Pair]:
    """Everything with everything: only for few frames."""
    return [(i, j) for i in range(count) for j in range(i + 1, count)]
