"""Tags in pictures: found by the AprilTag detector, believed when the picture shows their pattern, placed by that pattern."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.scale.refine import refine
from tasks.scale.views import TagView
from tasks.tags.detector import tag_detector
from tasks.tags.families import family

Array = NDArray[np.floating]
LEAST_MARGIN = 15.0  # of 255: mean contrast of the bits; noise in textures reads as tags below it
LEAST_EXPLAINED = 0.7  # of the picture's variance, by the pattern
MOST_MOVED_SIDES = 0.15  # refined corners farther away than this part of a side belong to something else
FLOOR_PX = 0.05  # what the fit's own noise doesn't tell: JPEG, sharpening, an uneven print


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A tag in a view.

    Attributes:
        tag_id: which tag.
        view: index of the view.
        corners: (4, 2) pixels of the undistorted picture, in the order of detections.
        sigma_px: standard error of their coordinates.
    """

    tag_id: int
    view: int
    corners: Array
    sigma_px: float


@dataclass(frozen=True, kw_only=True)
class Sightings:
    """All tags in all views; `ambiguous` counts by id the views that show one id in several places."""

    found: list[Sighting]
    ambiguous: Counter[int]
    seconds_per_view: float


def find_tags(
    views: Sequence[TagView], family_name: str, *, num_threads: int, progress: Callable[[int, int], None]
) -> Sightings:
    """Tags of a family in all views; `progress(done, total)` may raise to stop.

    Raises:
        BadPosedInput: a picture is missing or doesn't fit its camera.
    """
    started = time.perf_counter()
    found: list[Sighting] = []
    ambiguous: Counter[int] = Counter()
    most_wrong_bits = max(0, (family(family_name).distance - 5) // 3)
    with (
        tag_detector(family_name, num_threads=num_threads) as detector,
        ThreadPoolExecutor(num_threads) as pool,
    ):
        waiting: list[list[Future[Sighting | None]]] = []
        for index, view in enumerate(views):
            gray = view.gray()
            tags = [
                tag
                for tag in detector.detect(gray)
                if tag.hamming <= most_wrong_bits and tag.decision_margin >= LEAST_MARGIN
            ]
            waiting.append([pool.submit(_place, gray, tag, family_name, index) for tag in tags])
            if len(waiting) > num_threads:  # pictures of unfinished views stay in memory
                _collect(waiting.pop(0), found, ambiguous)
            progress(index + 1, len(views))
        for futures in waiting:
            _collect(futures, found, ambiguous)
    return Sightings(
        found=found, ambiguous=ambiguous, seconds_per_view=(time.perf_counter() - started) / max(len(views), 1)
    )


def _place(gray: NDArray[np.uint8], tag, family_name: str, view: int) -> Sighting | None:
    """The detection with its corners refined; None when the picture doesn't bear it out."""
    refined = refine(gray, np.asarray(tag.corners, float), family_name, tag.tag_id)
    if refined is None or refined.explained < LEAST_EXPLAINED:
        return None
    side = float(np.linalg.norm(tag.corners - np.roll(tag.corners, 1, 0), axis=1).mean())
    if refined.moved_px > max(2.0, MOST_MOVED_SIDES * side):
        return None
    return Sighting(
        tag_id=int(tag.tag_id),
        view=view,
        corners=refined.corners,
        sigma_px=float(np.hypot(refined.sigma_px, FLOOR_PX)),
    )


def _collect(futures: list[Future[Sighting | None]], found: list[Sighting], ambiguous: Counter[int]) -> None:
    """Adds a view's tags; an id that the view shows in several places is left out, since one of them isn't it."""
    seen = [sighting for future in futures if (sighting := future.result()) is not None]
    times = Counter(sighting.tag_id for sighting in seen)
    found += [sighting for sighting in seen if times[sighting.tag_id] == 1]
    ambiguous.update(tag_id for tag_id, count in times.items() if count > 1)
