"""What one tag says about the scene's scale, and whether it can be believed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.scale.detect import Sighting
from tasks.scale.fit import Square, fit_square
from tasks.scale.options import ScaleOptions
from tasks.scale.triangulate import agreeing, angle_between, gather
from tasks.scale.views import TagView

Array = NDArray[np.floating]
LEAST_THRESHOLD_PX = 1.5
THRESHOLD_OF_SIDE = 0.003  # of the picture's long side
THRESHOLD_OF_ERROR = 4.0  # of the model's own mean reprojection error
MOST_OFF_PLANE, MOST_OFF_SQUARE = 0.02, 0.015  # relative to the side; beyond it, and surely so, the print is at fault


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One tag.

    Attributes:
        tag_id: which.
        views: views that show it.
        used: indices of the views that agree about where it is.
        angle: between the farthest two of their rays, radians.
        square: the fit; None when the tag couldn't be placed.
        shape_error: how far the print is surely from a square, relative to its side; 0 when it's fine.
        reason: why it can't be used, or what to know about it; "" when there's nothing to say.
        shape: what is wrong with its shape; "" when nothing is.
        elsewhere: views that show it, but elsewhere.
        moved: those agree with one another about another place.
    """

    tag_id: int
    views: int
    used: NDArray[np.int64]
    angle: float
    square: Square | None
    shape_error: float
    reason: str
    shape: str
    elsewhere: NDArray[np.int64]
    moved: bool


def threshold_px(views: Sequence[TagView], error_px: float) -> float:
    """How far a corner may be from where the other views put it."""
    longest = max(max(view.width, view.height) for view in views)
    return max(LEAST_THRESHOLD_PX, THRESHOLD_OF_SIDE * longest, THRESHOLD_OF_ERROR * error_px)


def measure_tag(
    tag_id: int, views: Sequence[TagView], sightings: Sequence[Sighting], options: ScaleOptions, *, limit_px: float
) -> Measurement:
    """Places one tag by its sightings, each in another view."""
    bundle = gather(views, sightings)
    rng = np.random.default_rng([options.seed, tag_id])
    chosen = agreeing(bundle, threshold_px=limit_px, rng=rng)
    rest = bundle.only(~chosen)
    moved = False
    if chosen.any() and len(rest) >= 2:
        moved = int(agreeing(rest, threshold_px=limit_px, rng=rng).sum()) >= max(options.min_views, 3)

    def result(
        square: Square | None, reason: str, *, angle: float = 0.0, shape_error: float = 0.0, shape: str = ""
    ) -> Measurement:
        return Measurement(
            tag_id=tag_id,
            views=len(bundle),
            used=bundle.views[chosen],
            angle=angle,
            square=square,
            shape_error=shape_error,
            reason=reason,
            shape=shape,
            elsewhere=rest.views if chosen.any() else rest.views[:0],
            moved=moved,
        )

    if len(bundle) < options.min_views:
        return result(None, f"seen in {_views(len(bundle))}, and {options.min_views} are needed")
    if angle_between(bundle) < np.deg2rad(options.min_angle_deg):
        return result(None, "its views lie too close together")
    if chosen.sum() < options.min_views or 4 * chosen.sum() < len(bundle):
        return result(None, "its views contradict one another: it moved, or the cameras aren't placed well there")
    kept = bundle.only(chosen)
    angle = angle_between(kept)
    if angle < np.deg2rad(options.min_angle_deg):
        return result(None, "the views that agree about it lie too close together", angle=angle)
    square = fit_square(kept)
    if square is None:
        return result(None, "no square fits its corners", angle=angle)
    error, shape = _shape_error(square)
    said = [shape] if shape else []
    if len(rest):
        where = "elsewhere: it was moved" if moved else "not where the others do: moved or misread"
        said.insert(0, f"{len(rest)} of {_views(len(bundle))} show it {where}")
    return result(square, "; ".join(said), angle=angle, shape_error=error, shape=shape)


def _shape_error(square: Square) -> tuple[float, str]:
    """How far the print is surely from a flat square, and a clause that says so."""
    off_plane, off_square = square.planarity, abs(np.log(square.aspect))
    if off_plane > MOST_OFF_PLANE and off_plane > square.planarity_99:
        return off_plane, f"its corners lie {100 * off_plane:.1f} % of its side off a plane: bent"
    if off_square > MOST_OFF_SQUARE and off_square > square.aspect_99:
        return float(off_square), f"its height is {square.aspect:.3f} of its width: bent, or printed out of shape"
    return 0.0, ""


def _views(count: int) -> str:
    return "1 view" if count == 1 else f"{count} views"
