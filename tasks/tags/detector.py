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

    def __init__(self, family_name: str, *, num_threads: int, quad_decimate: float) -> None:
        many = family(family_name).count > MANY_TAGS
        first = SMALL_FAMILY if many else family_name
        self._detector: Any = pupil_apriltags.Detector(
            families=first, nthreads=num_threads, quad_decimate=quad_decimate
        )
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
def tag_detector(family_name: str, *, num_threads: int = 1, quad_decimate: float = 1.0) -> Iterator[TagDetector]:
    """A detector for the block.

    Args:
        family_name: one of `tasks.tags.families.FAMILIES`.
        num_threads: the detector's own worker threads.
        quad_decimate: squares are looked for in pictures smaller by this factor.

    Raises:
        BadOption: there is no such family.
    """
    detector = TagDetector(family_name, num_threads=num_threads, quad_decimate=quad_decimate)
    try:
        yield detector
    finally:
        detector.close()
