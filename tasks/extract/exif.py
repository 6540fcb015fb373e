"""When a photo was taken and with what focal length, from its EXIF (CIPA DC-008)."""

import math
import struct
from dataclasses import dataclass

from PIL import Image

_EXIF_IFD = 0x8769
_ORIENTATION, _TIME, _SUBSECOND = 0x0112, 0x9003, 0x9291
_FOCAL_MM, _FOCAL_35MM = 0x920A, 0xA405
_PLANE_X_RESOLUTION, _PLANE_UNIT = 0xA20E, 0xA210
_FULL_WIDTH, _FULL_HEIGHT = 0xA002, 0xA003
_FILM_DIAGONAL_MM = math.hypot(36, 24)
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0}
_PLAUSIBLE = (0.2, 20.0)  # focal length over long side
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, SyntaxError, OSError, ZeroDivisionError, struct.error)


@dataclass(frozen=True, kw_only=True)
class PhotoTags:
    """What the EXIF of one photo says that we use."""

    orientation: int = 1  # 1 to 8
    taken: str = ""  # "2024:05:01 12:00:00.123", sorts by time; "" if unknown
    focal_over_long_side: float | None = None  # focal length in units of the picture's long side


def read_tags(image: Image.Image) -> PhotoTags:
    """The tags of an opened photo; what is missing or damaged is left at its default."""
    try:
        exif = image.getexif()
        detail = exif.get_ifd(_EXIF_IFD)
    except _UNREADABLE:
        return PhotoTags()
    orientation = exif.get(_ORIENTATION, 1)
    taken = detail.get(_TIME, "")
    if isinstance(taken, str) and taken.strip(" :0\0"):
        fraction = str(detail.get(_SUBSECOND, "")).strip()
        taken = f"{taken.strip()}.{fraction if fraction.isdigit() else ''}"
    else:
        taken = ""
    return PhotoTags(
        orientation=orientation if orientation in range(1, 9) else 1,
        taken=taken,
        focal_over_long_side=_focal(detail, image.width, image.height),
    )


def _focal(detail: dict, width: int, height: int) -> float | None:
    """From the 35 mm equivalent, which relates diagonals; else from the focal length and the sensor's pixel pitch."""
    long_side = max(width, height)
    try:
        equivalent = float(detail.get(_FOCAL_35MM, 0))
        if equivalent > 0:
            return _plausible(equivalent / _FILM_DIAGONAL_MM * math.hypot(width, height) / long_side)
        focal_mm, density = float(detail.get(_FOCAL_MM, 0)), float(detail.get(_PLANE_X_RESOLUTION, 0))
        if focal_mm > 0 and density > 0:
            pixels = focal_mm * density / _UNIT_MM.get(int(detail.get(_PLANE_UNIT, 2)), 25.4)
            # The density counts pixels of the full picture, which an editor may have scaled since.
            full = max(int(detail.get(_FULL_WIDTH, 0)), int(detail.get(_FULL_HEIGHT, 0))) or long_side
            return _plausible(pixels / full)
    except _UNREADABLE:
        return None
    return None


def _plausible(ratio: float) -> float | None:
    return ratio if math.isfinite(ratio) and _PLAUSIBLE[0] <= ratio <= _PLAUSIBLE[1] else None
