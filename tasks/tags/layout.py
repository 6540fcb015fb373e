"""Where tags go on pages of paper."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.errors import BadOption
from tasks.tags.families import Family

PAPERS_MM = {"a4": (210.0, 297.0), "letter": (215.9, 279.4)}  # width, height, upright
SIDE_MARGIN_MM = 8.0  # most printers leave about 5 mm blank
HEAD_MM = 14.0  # above the tags: what to do with the page
FOOT_MM = 22.0  # below them: the ruler
GAP_MM = 4.0
MOST_QUIET_MM = 8.0
MEASURE_MM = 14.0  # under each tag: the measure line and what it says
LEAST_BLOCK_MM = 60.0  # room for what stands under a tag


@dataclass(frozen=True, kw_only=True)
class Place:
    """One tag on a page.

    Attributes:
        tag_id: which tag.
        page: 0 is the first.
        left_mm, top_mm: the tag's upper left corner, from the page's.
    """

    tag_id: int
    page: int
    left_mm: float
    top_mm: float


@dataclass(frozen=True, kw_only=True)
class Layout:
    """All tags of a document: the side of one cell, the blank paper around a tag, and where each tag goes."""

    cell_mm: float
    quiet_mm: float
    paper_mm: tuple[float, float]
    places: tuple[Place, ...]

    @property
    def pages(self) -> int:
        return self.places[-1].page + 1


def quiet_mm(family: Family, cell_mm: float) -> float:
    """Blank paper around a tag: a cell, 8 mm at most; families that are black within white bring their own."""
    return min(cell_mm, MOST_QUIET_MM) if family.inner_is_white else 0.0


def largest_size_mm(family: Family, paper: str) -> float:
    """The largest tag of a family that fits on a page."""
    width, height = PAPERS_MM[paper]
    quiet = MOST_QUIET_MM if family.inner_is_white else 0.0
    across, down = width - 2 * SIDE_MARGIN_MM, height - HEAD_MM - MEASURE_MM - FOOT_MM - 2 * quiet
    return min(across, down) / family.cells * family.inner_cells


def arrange(size_mm: float, ids: Sequence[int], family: Family, paper: str) -> Layout:
    """Rows of tags, as many to a page as fit, each with a quiet zone around it (at the page's side the margin is one).

    Raises:
        BadOption: a tag of this size doesn't fit on the page.
    """
    cell = size_mm / family.inner_cells
    tag, quiet = cell * family.cells, quiet_mm(family, cell)
    width, height = PAPERS_MM[paper]
    across, down = max(tag, LEAST_BLOCK_MM), tag + 2 * quiet + MEASURE_MM
    gap = max(GAP_MM, 2 * quiet)
    columns = _fitting(width - 2 * SIDE_MARGIN_MM, across, gap)
    rows = _fitting(height - HEAD_MM - FOOT_MM, down, GAP_MM)
    if not columns or not rows:
        raise BadOption(
            f"A {family.name} tag of {size_mm:g} mm is {tag:.0f} mm wide as a whole and doesn't fit on {paper.upper()}; the largest "
            f"is {int(largest_size_mm(family, paper) * 10) / 10:g} mm. Print that, enlarge it on larger paper, and measure it."
        )
    left = (width - columns * across - (columns - 1) * gap) / 2
    places = []
    for index, tag_id in enumerate(ids):
        page, spot = divmod(index, columns * rows)
        row, column = divmod(spot, columns)
        places.append(
            Place(
                tag_id=tag_id,
                page=page,
                left_mm=left + column * (across + gap) + (across - tag) / 2,
                top_mm=HEAD_MM + row * (down + GAP_MM) + quiet,
            )
        )
    return Layout(cell_mm=cell, quiet_mm=quiet, paper_mm=(width, height), places=tuple(places))


def _fitting(room: float, block: float, gap: float) -> int:
    return int((room + gap + 1e-6) // (block + gap))
