"""What a caller can choose about the scene's true size, and what it gets told."""

import math
from dataclasses import dataclass
from typing import Literal

from tasks.errors import BadOption
from tasks.tags.families import DEFAULT_FAMILY, require_family
from tasks.tags.pdf import require_size

Status = Literal["scaled", "no_tags", "too_few_views", "tags_disagree"]


@dataclass(frozen=True, kw_only=True)
class ScaleOptions:
    """Options of `tasks.scale.step.scale`.

    Attributes:
        tag_size_mm: side of the square whose corners are detected, from 1 to 1,000: the inner white one of tagStandard41h12.
        family: of the tags, one of `tasks.tags.families.FAMILIES`.
        min_views: views that must agree about a tag.
        min_angle_deg: least angle between the farthest two rays to a tag.
        max_relative_uncertainty: beyond this half-width of the 95 % interval the scene stays unscaled.
        seed: of the choice of pairs of views that are tried.
        num_threads: worker threads; None means one per usable core.
    """

    tag_size_mm: float
    family: str = DEFAULT_FAMILY
    min_views: int = 3
    min_angle_deg: float = 2.0
    max_relative_uncertainty: float = 0.1
    seed: int = 0
    num_threads: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tag_size_mm", require_size(self.tag_size_mm))
        if not isinstance(self.family, str):
            raise BadOption("The AprilTag family must be a name such as tagStandard41h12.")
        require_family(self.family)
        bounds: dict[str, tuple[float, float]] = {
            "min_views": (2, 1000),
            "min_angle_deg": (0.1, 90.0),
            "max_relative_uncertainty": (0.001, 1.0),
            "seed": (0, 2**31 - 1),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
                raise BadOption(f"{name} is {value}; give a value from {low:g} to {high:g}.")
        if self.num_threads is not None and self.num_threads < 1:
            raise BadOption(f"num_threads is {self.num_threads}; give 1 or more, or leave it out.")


@dataclass(frozen=True, kw_only=True)
class TagRecord:
    """What was found about one tag.

    Attributes:
        id: of the tag.
        views: views in which it was read.
        views_used: views that agree about where it is.
        used: whether it had a say in the scene's scale.
        metres_per_unit: by this tag alone; None when it couldn't be placed.
        relative_uncertainty: half the width of that figure's 95 % interval, relative.
        side_units: fitted side in the model's unit.
        residual_px: root mean square distance of its corners from where they should be seen.
        angle_deg: between the farthest two rays to it.
        planarity: how far the corners lie off a plane, relative to the side.
        aspect: height by width of the quadrilateral of its corners; 1 for a square.
        reason: why it wasn't used or was used in part; "" when there's nothing to say.
    """

    id: int
    views: int
    views_used: int
    used: bool
    metres_per_unit: float | None
    relative_uncertainty: float | None
    side_units: float | None
    residual_px: float | None
    angle_deg: float | None
    planarity: float | None
    aspect: float | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class ScaleRecord:
    """The scene's true size.

    Attributes:
        status: "scaled"; "no_tags": none was seen; "too_few_views": none was seen well enough; "tags_disagree": their sizes
            contradict one another, so that none can be believed.
        metres_per_unit: factor from the model's unit to metres; None unless "scaled".
        relative_uncertainty: half the width of the interval, relative to the factor; None unless "scaled".
        interval_95: low and high end for the factor, given that the tags are as large as was said; None unless "scaled".
        tag_size_mm, family: as given.
        tags: by id.
        views: views of the model.
        views_used: views in which a tag was used.
        residual_px: root mean square distance of the used corners from where they should be seen; None without any.
        seconds_per_view: for finding tags.
        warnings: sentences that say what to do.
    """

    status: Status
    metres_per_unit: float | None
    relative_uncertainty: float | None
    interval_95: tuple[float, float] | None
    tag_size_mm: float
    family: str
    tags: tuple[TagRecord, ...]
    views: int
    views_used: int
    residual_px: float | None
    seconds_per_view: float
    warnings: tuple[str, ...]
