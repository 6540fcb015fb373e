"""Pictures inside the page: the preview, and of each held-out view the photo, the render and where they differ."""

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.export.folder import inside
from tasks.gaussians.ground import NEUTRAL_GROUND
from tasks.geometry.posed import mask_name

PAGE_BYTES = 3_400_000  # of all held-out pictures together, before base64 adds a third
SIDES_PX = (720, 560, 440, 340, 260, 200)  # tried in turn
JPEG_QUALITY = 82
PREVIEW_SIDE_PX = 960
FULL_DIFFERENCE = 0.25  # mean absolute difference of the channels that is shown brightest
METRIC_SIDE_PX = 1_600

Picture = NDArray[np.uint8]  # (H, W, 3) BGR, as OpenCV has it


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One held-out view as data URIs; None where a picture is missing."""

    name: str
    photo: str | None
    render: str | None
    difference: str | None
    width: int
    height: int


def comparisons(images: Path, renders: Path, names: list[str], masks: Path | None = None) -> list[Comparison]:
    """All held-out views at the largest size that keeps the page small enough to be mailed.

    Args:
        images: the photos, by name.
        renders: `<name with .png>` of each.
        names: of the held-out views.
        masks: `<name with .png>` of each: what of the photos the scene is of; the rest is shown as the ground of the renders.
    """
    sample = [_load(images, renders, masks, name) for name in names[:: max(1, len(names) // 6)]]
    side = SIDES_PX[-1]
    for side in SIDES_PX:
        size = sum(_size(compare("", photo, render, side)) for photo, render in sample)
        if size * len(names) / max(1, len(sample)) <= PAGE_BYTES * 4 / 3:
            break
    return [compare(name, *_load(images, renders, masks, name), side) for name in names]


def compare(name: str, photo: Picture | None, render: Picture | None, side_px: int) -> Comparison:
    """The three pictures of one held-out view with the long side at `side_px`."""
    difference = None
    if photo is not None and render is not None and photo.shape == render.shape:
        # at full size first: scaling down before would average the errors away
        difference = heat(scaled(cv2.absdiff(photo, render), side_px).mean(2, dtype=np.float32))
    small = [None if p is None else scaled(p, side_px) for p in (photo, render)]
    shown = next((p for p in small if p is not None), None)
    height, width = shown.shape[:2] if shown is not None else (0, 0)
    uris = [None if p is None else data_uri(p) for p in (*small, difference)]
    return Comparison(name=name, photo=uris[0], render=uris[1], difference=uris[2], width=width, height=height)


def heat(difference: NDArray[np.float32]) -> Picture:
    """(H, W) mean absolute difference in 0..255 -> BGR from black (equal) to yellow (a quarter of the range off)."""
    level = np.clip(difference / (255 * FULL_DIFFERENCE), 0, 1)
    return np.asarray(cv2.applyColorMap((level * 255).astype(np.uint8), cv2.COLORMAP_INFERNO), np.uint8)


def read(path: Path) -> Picture | None:
    """A picture, or None where there is none that can be read."""
    if not path.is_file():
        return None
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return None if picture is None else np.asarray(picture, np.uint8)


def scaled(picture: NDArray, side_px: int) -> NDArray:
    """The picture with its long side at `side_px` at most, averaged over areas; never enlarged."""
    height, width = picture.shape[:2]
    factor = min(1.0, side_px / max(height, width))
    if factor == 1.0:
        return picture
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), picture.dtype)


def jpeg(picture: NDArray, quality: int = JPEG_QUALITY) -> bytes:
    """The bytes of a JPEG."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1])
    return data.tobytes()


def data_uri(picture: NDArray) -> str:
    """The picture as a JPEG in a `data:` URI."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(picture)).decode("ascii")


def read_alpha(path: Path) -> NDArray[np.uint8] | None:
    """A mask (H, W), or None where there is none that can be read."""
    alpha = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    return None if alpha is None else np.asarray(alpha, np.uint8)


def on_ground(photo: Picture, alpha: NDArray[np.uint8]) -> Picture:
    """The photo (H, W, 3) where alpha (H, W) is 255, the neutral ground where it is 0."""
    weight = alpha[..., None].astype(np.float32) / 255
    return np.asarray((photo * weight + 255 * NEUTRAL_GROUND * (1 - weight)).round(), np.uint8)


def photo_on_ground(images: Path, name: str, masks: Path | None) -> Picture | None:
    """The photo of a view at its own size, on the neutral ground where it has a mask that fits; None where it can't be read."""
    photo = read(inside(images, name))
    alpha = read_alpha(inside(masks, mask_name(name))) if masks is not None else None
    if photo is not None and alpha is not None and alpha.shape == photo.shape[:2]:
        photo = on_ground(photo, alpha)
    return photo


def _load(images: Path, renders: Path, masks: Path | None, name: str) -> tuple[Picture | None, Picture | None]:
    """Photo and render of a view at the size that metrics are computed at."""
    photo = photo_on_ground(images, name, masks)
    render = read(inside(renders, str(Path(name).with_suffix(".png"))))
    return (None if photo is None else scaled(photo, METRIC_SIDE_PX)), render


def _size(comparison: Comparison) -> int:
    return sum(len(uri or "") for uri in (comparison.photo, comparison.render, comparison.difference))
