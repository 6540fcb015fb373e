"""What the scale step tells people."""

from collections.abc import Sequence

import numpy as np

from tasks.scale.combine import Consensus
from tasks.scale.detect import Sightings
from tasks.scale.measure import Measurement
from tasks.scale.options import ScaleOptions

MOST_NAMED = 8


def tags_named(ids: Sequence[int]) -> str:
    """`tag 3`, `tags 1, 2 and 5`."""
    ids = sorted(ids)
    if len(ids) == 1:
        return f"tag {ids[0]}"
    if len(ids) > MOST_NAMED:
        return f"tags {', '.join(map(str, ids[:MOST_NAMED]))} and {len(ids) - MOST_NAMED} more"
    return f"tags {', '.join(map(str, ids[:-1]))} and {ids[-1]}"


def no_tags(options: ScaleOptions) -> str:
    return (
        f"The scene is not to scale: no {options.family} tag was found in any view. Check the family, and let tags take up "
        "at least a twentieth of the picture's width, flat and evenly lit, in several views."
    )


def too_few_views(measurements: Sequence[Measurement]) -> str:
    reasons = "; ".join(f"{tags_named([m.tag_id])}: {m.reason}" for m in measurements[:MOST_NAMED])
    return (
        f"The scene is not to scale: no tag was seen well enough ({reasons}). Film each tag sharply from at least three places "
        "apart, and don't move it."
    )


def too_uncertain(relative: float) -> str:
    return (
        f"The scene is not to scale: the tags leave its size open by {100 * relative:.0f} %. Film them larger and from places "
        "farther apart."
    )


def tags_disagree(measurements: Sequence[Measurement], consensus: Consensus) -> str:
    return (
        f"The scene is not to scale: {sizes(measurements, consensus)}. All tags of a scene must be printed at the size that is given; "
        "print them alike, or cover those of another size."
    )


def sizes(measurements: Sequence[Measurement], consensus: Consensus) -> str:
    """Who differs from whom, and by how much; the largest group is the measure."""
    groups = [[measurements[i] for i in group] for group in consensus.groups]
    first = _side(groups[0])
    parts = []
    for group in groups[1:]:
        verb = "is" if len(group) == 1 else "are"
        parts.append(f"{tags_named([m.tag_id for m in group])} {verb} {_side(group) / first:.3f} times as large")
    return f"measured against {tags_named([m.tag_id for m in groups[0]])}, {' and '.join(parts)}"


def _side(group: Sequence[Measurement]) -> float:
    """Geometric mean of the sides of a group."""
    return float(np.exp(np.mean([np.log(m.square.side) for m in group if m.square is not None])))


def outliers(measurements: Sequence[Measurement], consensus: Consensus) -> str:
    said = sizes(measurements, consensus)
    return (
        f"Tags differ in size: {said}. Those were left out: printed at another size, bent, or seen too badly. "
        "Measure them, or film them better."
    )


def about_tags(measurements: Sequence[Measurement], consensus: Consensus | None, sightings: Sightings) -> list[str]:
    """Warnings about single tags: moved, out of shape, one id twice."""
    found = []
    for m in measurements:
        name = tags_named([m.tag_id]).capitalize()
        if m.square is not None and len(m.elsewhere):
            what = "was moved during the capture" if m.moved else "is not where the other views show it in some of them"
            found.append(
                f"{name} {what}: {len(m.elsewhere)} of its {m.views} views were left out. Don't move tags while you film."
            )
        elif m.square is None and m.views >= 3 and "contradict" in m.reason:
            found.append(f"{name} was left out: {m.reason}. Don't move tags while you film.")
        if m.shape_error:
            found.append(
                f"{name} is not a flat square: {m.shape}. Glue it to something flat, and print without scaling."
            )
    for tag_id, count in sorted(sightings.ambiguous.items()):
        views = "a view" if count == 1 else f"{count} views"
        found.append(f"Tag {tag_id} is in {views} more than once; give every tag in the scene an id of its own.")
    if consensus is not None and len(consensus.chosen) == 1 and len(measurements) == 1:
        found.append("One tag alone sets the scene's size, so that nothing checks it; put two or more into the scene.")
    return found


def percent(half_width: float) -> float:
    """Relative half-width of an interval of logarithms."""
    return float(np.expm1(half_width))
