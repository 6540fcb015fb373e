"""The native detector, made safe to open and close, and small for families with many tags."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pupil_apriltags
from numpy.typing import NDArray
from pupil_apriltags import bindings

from tasks.tags.families import family

MANY_TAGS = 10_000  # with two wrong bits a tag, the table of such a family takes 4 to 7 GB and 10 s to make
SMALL_FAMILY = "tag16h5"


class TagDetector:
    """Reads the tags of one family in gray pictures. Not for use by several threads at once; see `tag_detector`."""

    def __init__(self, family_name: str) -> None:
        many = family(family_name).count > MANY_TAGS
        first = SMALL_FAMILY if many else family_name
        self._detector: Any = pupil_apriltags.Detector(families=first, nthreads=1, quad_decimate=1.0)
        if many:
            self._forget_families()
            create = getattr(self._detector.libc, f"{family_name}_create")
            create.restype = ctypes.POINTER(bindings._ApriltagFamily)
            self._detector.tag_families[family_name] = create()
            self._detector.libc.apriltag_detector_add_family_bits(
                self._detector.tag_detector_ptr, self._detector.tag_families[family_name], 1
            )

    def detect(self, gray: NDArray[np.uint8]) -> list[Any]:
        """`pupil_apriltags.Detection` of each tag in a (H, W) picture.

        `corners` (4, 2) go lower left, lower right, upper right, upper left as the tag is read, in pixels whose (0, 0) is the
        corner of the first pixel.
        """
        return self._detector.detect(np.ascontiguousarray(gray, np.uint8))

    def close(self) -> None:
        """To be called before the object goes: pupil-apriltags frees the families first and then the tables in them."""
        self._forget_families()

    def _forget_families(self) -> None:
        forget = self._detector.libc.apriltag_detector_clear_families
        forget.restype = None
        forget(self._detector.tag_detector_ptr)


@contextmanager
def tag_detector(family_name: str) -> Iterator[TagDetector]:
    """A detector for the block, at the pictures' full size.

    It has one thread: with threads of its own the library crashed half of the processes that opened and closed forty of them
    (pupil-apriltags 1.0.4.post11), with one thread none. Several threads need a detector each; those don't disturb one another.

    Args:
        family_name: one of `tasks.tags.families.FAMILIES`.

    Raises:
        BadOption: there is no such family.
    """
    detector = TagDetector(family_name)
    try:
        yield detector
    finally:
        detector.close()
