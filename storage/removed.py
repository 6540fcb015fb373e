"""What a clearing up removed, or would remove."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Removed:
    """Objects of one kind: their number, and their bytes together.

    Attributes:
        kind: what they were: "upload", "steps", "outputs", "failed", ...
    """

    kind: str
    objects: int
    bytes: int
