"""Pictures inside the page of what background removal kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.export.folder import inside
from tasks.export.pictures import Picture, data_uri, read, read_alpha, scaled
from tasks.geometry.posed import mask_name

MOST = 12  # spread over the clip
SIDE_PX = 240
OUTSIDE = 0.22  # brightness that the background keeps


@dataclass(frozen=True, kw_only=True)
class CutOut:
    """A view with its background darkened, as a data URI."""

    name: str
    uri: str
    width: int
    height: int


def cut_outs(images: Path, masks: Path, names: Sequence[str]) -> list[CutOut]:
    """Some of the views, evenly spread; views without a picture or a mask that fits are left out.

    Args:
        images: the photos, by name.
        masks: `<name with .png>` of each, 255 on the subject.
        names: of the views.
    """
    found = []
    for index in np.unique(np.linspace(0, len(names) - 1, min(MOST, len(names))).round().astype(int)):
        name = names[int(index)]
        photo, alpha = read(inside(images, name)), read_alpha(inside(masks, mask_name(name)))
        if photo is None or alpha is None or alpha.shape != photo.shape[:2]:
            continue
        small = scaled(darkened(photo, alpha), SIDE_PX)
        found.append(CutOut(name=name, uri=data_uri(small), width=small.shape[1], height=small.shape[0]))
    return found


def darkened(photo: Picture, alpha: np.ndarray) -> Picture:
    """The photo (H, W, 3), dark where alpha (H, W) is 0 and as it is where it is 255."""
    weight = OUTSIDE + (1 - OUTSIDE) * alpha[..., None].astype(np.float32) / 255
    return np.asarray((photo * weight).round(), np.uint8)
