"""The tag families that pupil-apriltags offers, and how their tags look, cell by cell.

Read from the very library that detects them, so that what is printed is what is looked for.
Source: E. Olson, "AprilTag: A robust and flexible visual fiducial system" (ICRA 2011); M. Krogius et al., "Flexible layouts for
fiducial tags" (IROS 2019); `apriltag_family_t` in apriltag.h.
"""

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pupil_apriltags
from numpy.typing import NDArray
from pupil_apriltags import bindings

from tasks.errors import BadOption

DEFAULT_FAMILY = "tagStandard41h12"
FAMILIES = (
    "tag16h5",
    "tag25h9",
    "tag36h11",
    "tagCircle21h7",
    "tagCircle49h12",
    "tagCustom48h12",
    "tagStandard41h12",
    "tagStandard52h13",
)
BLACK, WHITE, NOTHING = 0, 1, -1


@dataclass(frozen=True, kw_only=True)
class Family:
    """The layout of a family's tags.

    Attributes:
        name: as in `FAMILIES`.
        count: ids go from 0 to count - 1.
        cells: of a whole tag, from edge to edge.
        inner_cells: of the square whose corners are detected, and whose side is "the size" of a tag.
        inner_is_white: that square is white within black (tagStandard and its kin) or black within white (tag36h11).
        distance: bits in which any two tags differ at least.
        codes: (count,) uint64 the bits of each id, the first bit highest.
        bits: (n, 2) int column and row of each bit, counted from the square's corner.
    """

    name: str
    count: int
    cells: int
    inner_cells: int
    inner_is_white: bool
    distance: int
    codes: NDArray[np.uint64]
    bits: NDArray[np.int64]

    @property
    def inset(self) -> int:
        """Cells between the tag's edge and the square whose corners are detected."""
        return (self.cells - self.inner_cells) // 2


def require_family(name: str) -> str:
    """The name, or BadOption when there is no such family."""
    if name not in FAMILIES:
        raise BadOption(f"There is no AprilTag family {name!r}; choose one of {', '.join(FAMILIES)}.")
    return name


@cache
def family(name: str) -> Family:
    """The layout of a family.

    Raises:
        BadOption: there is no such family.
    """
    require_family(name)
    library = _library()
    create, destroy = getattr(library, f"{name}_create"), getattr(library, f"{name}_destroy")
    create.restype = ctypes.POINTER(bindings._ApriltagFamily)
    destroy.restype = None
    pointer = create()
    try:
        raw = pointer.contents
        bits = np.array([[raw.bit_x[i], raw.bit_y[i]] for i in range(raw.nbits)], np.uint32)
        return Family(
            name=name,
            count=int(raw.ncodes),
            cells=int(raw.total_width),
            inner_cells=int(raw.width_at_border),
            inner_is_white=bool(raw.reversed_border),
            distance=int(raw.h),
            codes=np.ctypeslib.as_array(raw.codes, shape=(raw.ncodes,)).copy(),
            bits=bits.view(np.int32).astype(np.int64),  # some lie outside the square: negative
        )
    finally:
        destroy(pointer)


def pattern(family_name: str, tag_id: int) -> NDArray[np.int8]:
    """(cells, cells) of a tag as it is read: BLACK, WHITE, or NOTHING where the family leaves the paper alone.

    Raises:
        BadOption: no such family, or no such id in it.
    """
    layout = family(family_name)
    if not 0 <= tag_id < layout.count:
        raise BadOption(f"{family_name} has no tag {tag_id}; its ids go from 0 to {layout.count - 1}.")
    grid = np.full((layout.cells, layout.cells), NOTHING, np.int8)
    low, high = layout.inset, layout.inset + layout.inner_cells
    inner, outer = (WHITE, BLACK) if layout.inner_is_white else (BLACK, WHITE)
    grid[low - 1 : high + 1, low - 1 : high + 1] = outer
    grid[low:high, low:high] = inner
    code = int(layout.codes[tag_id])
    for place, (x, y) in enumerate(layout.bits):
        grid[y + low, x + low] = WHITE if code >> (len(layout.bits) - 1 - place) & 1 else BLACK
    return grid


@cache
def _library() -> Any:
    """The native library inside pupil-apriltags."""
    folder = Path(pupil_apriltags.__file__).parent
    for path in sorted(p for place in ("lib", "lib64") for p in (folder / place).glob("*apriltag*")):
        if path.name.endswith((".so", ".dylib", ".dll")):
            return ctypes.CDLL(str(path))
    raise RuntimeError(f"no native library in {folder}")
