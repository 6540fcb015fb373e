"""Tags in pictures: found by the AprilTag detector, believed when the picture shows their pattern, placed by that pattern."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from tasks.scale.refine import refine
from tasks.scale.views import TagView
from tasks.tags.detector import TagDetector, tag_detector
from tasks.tags.families import family

Array = NDArray[np.floating]
LEAST_MARGIN = 15.0  # of 255: mean contrast of the bits; noise in textures reads as tags below it
LEAST_EXPLAINED = 0.7  # of the picture's variance, by the pattern
MOST_MOVED_SIDES = 0.15  # refined corners farther away than this part of a side belong to something else
MOST_WORKERS = 8  # each has a table of about 100 MB
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
    workers = min(num_threads, MOST_WORKERS)
    with ExitStack() as stack:
        free: SimpleQueue[TagDetector] = SimpleQueue()
        for _ in range(workers):
            free.put(stack.enter_context(tag_detector(family_name)))
        pool = stack.enter_context(ThreadPoolExecutor(workers))  # ends before the detectors do
        waiting: deque[Future[list[Sighting]]] = deque()
        for done in range(len(views)):
            while len(waiting) < 2 * workers and done + len(waiting) < len(views):
                index = done + len(waiting)
                waiting.append(pool.submit(_look, views[index], index, family_name, free))
            _collect(waiting.popleft().result(), found, ambiguous)
            progress(done + 1, len(views))
    return Sightings(
        found=found, ambiguous=ambiguous, seconds_per_view=(time.perf_counter() - started) / max(len(views), 1)
    )


def _look(view: TagView, index: int, family_name: str, free: SimpleQueue[TagDetector]) -> list[Sighting]:
    """All believed tags of one view, by a detector that no other thread uses meanwhile."""
    gray = view.gray()
    detector = free.get()
    try:
        tags = detector.detect(gray)
    finally:
        free.put(detector)
    most_wrong_bits = max(0, (family(family_name).distance - 5) // 3)
    clear = [tag for tag in tags if tag.hamming <= most_wrong_bits and tag.decision_margin >= LEAST_MARGIN]
    placed = [_place(gray, tag, family_name, index) for tag in clear]
    return [sighting for sighting in placed if sighting is not None]


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


def _collect(seen: list[Sighting], found: list[Sighting], ambiguous: Counter[int]) -> None:
    """Adds a view's tags; an id that the view shows in several places is left out, since one of them isn't it."""
    times = Counter(sighting.tag_id for sighting in seen)
    found += [sighting for sighting in seen if times[sighting.tag_id] == 1]
    ambiguous.update(tag_id for tag_id, count in times.items() if count > 1)
