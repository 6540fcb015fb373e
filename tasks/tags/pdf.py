"""AprilTags to print at their true size, as a PDF of vector rectangles."""

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.errors import BadOption
from tasks.tags.families import BLACK, DEFAULT_FAMILY, Family, family, pattern
from tasks.tags.layout import FOOT_MM, PAPERS_MM, SIDE_MARGIN_MM, Layout, Place, arrange

LEAST_MM, MOST_MM = 1.0, 1000.0
SIZE_SENTENCE = "AprilTag size must be between 1mm and 1000mm."
MOST_IDS = 100
POINTS_PER_MM = 72 / 25.4
GREY = 0.55
PRINTABLE_MM = 5.0  # nearer to the page's side printers leave it blank
FONT, BOLD = "Helvetica", "Helvetica-Bold"
RULER_MM = 100


def require_size(size_mm: float) -> float:
    """The size as a float, or BadOption when it isn't a number from 1 to 1,000 millimetres."""
    if isinstance(size_mm, bool) or not isinstance(size_mm, int | float | np.integer | np.floating):
        raise BadOption(SIZE_SENTENCE)
    if not math.isfinite(size_mm) or not LEAST_MM <= size_mm <= MOST_MM:
        raise BadOption(SIZE_SENTENCE)
    return float(size_mm)


def tags_pdf(size_mm: float, ids: Sequence[int], family_name: str = DEFAULT_FAMILY, paper: str = "a4") -> bytes:
    """A document with these tags, one a page when large, several when they fit; the same input gives the same bytes.

    Under each tag a measure line spans the square whose corners are detected: its length is `size_mm`, the number to give
    for the tags' size. At the foot a ruler shows whether the printer scaled the page.

    Args:
        size_mm: side of that square: the inner white one for tagStandard41h12, the outer black one for tag36h11.
        ids: which tags, at most 100, in this order.
        family_name: one of `tasks.tags.families.FAMILIES`.
        paper: "a4" or "letter".

    Raises:
        BadOption: a size or an id out of range, too many ids, or a tag too large for the paper.
    """
    size_mm = require_size(size_mm)
    layout = family(family_name)
    if paper not in PAPERS_MM:
        raise BadOption(f"There is no paper {paper!r}; choose one of {', '.join(PAPERS_MM)}.")
    if not ids:
        raise BadOption("No tag ids were given; give some, such as 0-3.")
    if len(ids) > MOST_IDS:
        raise BadOption(f"{len(ids)} tags are too many for one document; give at most {MOST_IDS} ids.")
    if len(set(ids)) < len(ids):
        raise BadOption("An id was given twice; every tag in a scene needs an id of its own.")
    return _draw(size_mm, layout, arrange(size_mm, ids, layout, paper), paper)


def _draw(size_mm: float, layout: Family, arranged: Layout, paper: str) -> bytes:
    from reportlab.pdfgen.canvas import Canvas

    width, height = arranged.paper_mm
    file = io.BytesIO()
    canvas = Canvas(
        file, pagesize=(width * POINTS_PER_MM, height * POINTS_PER_MM), invariant=1, pageCompression=0, lang="en"
    )
    canvas.setTitle(f"AprilTags {layout.name}, {size_mm:g} mm")
    canvas.setCreator("splatflow")
    for page in range(arranged.pages):
        canvas.saveState()
        canvas.scale(POINTS_PER_MM, POINTS_PER_MM)  # from here on all lengths are millimetres
        _head_and_foot(canvas, size_mm, layout, arranged, page, paper)
        for place in arranged.places:
            if place.page == page:
                _tag(canvas, place, size_mm, layout, arranged)
        canvas.restoreState()
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def _tag(canvas, place: Place, size_mm: float, layout: Family, arranged: Layout) -> None:
    cell = arranged.cell_mm
    bottom = arranged.paper_mm[1] - place.top_mm - layout.cells * cell
    # One path for all cells: between paths of their own, viewers show hairlines.
    path = canvas.beginPath()
    for row, column, rows, columns in black_blocks(pattern(layout.name, place.tag_id)):
        x = place.left_mm + column * cell
        y = bottom + (layout.cells - row - rows) * cell
        path.rect(x, y, columns * cell, rows * cell)
    canvas.setFillGray(0)
    canvas.drawPath(path, stroke=0, fill=1)
    canvas.setStrokeGray(GREY)
    canvas.setLineWidth(0.1)
    # The outer border: where to cut. White families' own blank border ends there, the others get one.
    rim = min(arranged.quiet_mm, place.left_mm - PRINTABLE_MM)
    side = layout.cells * cell + 2 * rim
    canvas.rect(place.left_mm - rim, bottom - rim, side, side, stroke=1, fill=0)
    _measure(canvas, place, size_mm, layout, arranged, bottom)


def _measure(canvas, place: Place, size_mm: float, layout: Family, arranged: Layout, bottom: float) -> None:
    """The measure line under a tag, and what it measures."""
    cell, quiet = arranged.cell_mm, arranged.quiet_mm
    left, right = place.left_mm + layout.inset * cell, place.left_mm + (layout.inset + layout.inner_cells) * cell
    line = bottom - quiet - 3.0
    canvas.setStrokeGray(0)
    canvas.setLineWidth(0.15)
    for x in (left, right):
        canvas.line(x, line - 1.2, x, bottom - 0.7 * quiet - 0.3)
    canvas.line(left, line, right, line)
    tip = min(1.5, size_mm / 4)
    path = canvas.beginPath()
    for x, along in ((left, tip), (right, -tip)):
        path.moveTo(x, line)
        path.lineTo(x + along, line + tip / 4)
        path.lineTo(x + along, line - tip / 4)
        path.close()
    canvas.setFillGray(0)
    canvas.drawPath(path, stroke=0, fill=1)
    middle = place.left_mm + layout.cells * cell / 2
    square = "inner white square" if layout.inner_is_white else "outer black square"
    canvas.setFont(BOLD, 3.2)
    canvas.drawCentredString(middle, line - 4.6, f"{size_mm:g} mm: side of the {square}")
    canvas.setFont(FONT, 2.8)
    canvas.drawCentredString(
        middle, line - 8.4, f"{layout.name}, id {place.tag_id} (whole tag: {layout.cells * cell:.4g} mm)"
    )


def _head_and_foot(canvas, size_mm: float, layout: Family, arranged: Layout, page: int, paper: str) -> None:
    width, height = arranged.paper_mm
    canvas.setFillGray(0)
    canvas.setFont(BOLD, 3.6)
    canvas.drawString(
        SIDE_MARGIN_MM, height - 8, f'Print at 100 % ("actual size", not "fit to page"), {paper.upper()}.'
    )
    canvas.setFont(FONT, 2.8)
    canvas.drawString(
        SIDE_MARGIN_MM,
        height - 12,
        "Then measure the line under a tag and give what you measure as the AprilTag size. Glue the tag flat, blank margin included.",
    )
    canvas.drawRightString(width - SIDE_MARGIN_MM, height - 8, f"page {page + 1} of {arranged.pages}")
    left, base = (width - RULER_MM) / 2, FOOT_MM - 10
    canvas.setStrokeGray(0)
    canvas.setLineWidth(0.15)
    canvas.line(left, base, left + RULER_MM, base)
    for mm in range(RULER_MM + 1):
        tick = 3.0 if mm % 10 == 0 else 2.2 if mm % 5 == 0 else 1.3
        canvas.line(left + mm, base, left + mm, base + tick)
    canvas.setFont(FONT, 2.5)
    for mm in range(0, RULER_MM + 1, 10):
        canvas.drawCentredString(left + mm, base + 3.6, str(mm))
    canvas.drawCentredString(
        width / 2,
        base - 4,
        "This line is 100 mm long. If it isn't on paper, the printer has scaled the page, the tags too.",
    )


def black_blocks(grid: NDArray[np.int8]) -> list[tuple[int, int, int, int]]:
    """Black cells as few rectangles that don't overlap: (row, column, rows, columns) of each."""
    left = grid == BLACK
    blocks = []
    for row, column in np.argwhere(left):
        if not left[row, column]:
            continue
        columns = 1
        while column + columns < grid.shape[1] and left[row, column + columns]:
            columns += 1
        rows = 1
        while row + rows < grid.shape[0] and left[row + rows, column : column + columns].all():
            rows += 1
        left[row : row + rows, column : column + columns] = False
        blocks.append((int(row), int(column), rows, columns))
    return blocks
