"""The cameras of a posed folder, with their masks, at the size that depth is rendered at."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.errors import BadPosedInput
from tasks.geometry.heldout import held_out_names
from tasks.geometry.posed import read_posed

MASK_OPAQUE = 128  # of 255: from here on a pixel is the subject's


@dataclass(frozen=True, kw_only=True)
class MeshView:
    """One camera, scaled to the size of its depth map."""

    name: str
    viewmat: NDArray[np.float32]  # (4, 4) cam_from_world
    K: NDArray[np.float32]  # (3, 3) pixels
    width: int
    height: int
    mask_path: Path | None

    @property
    def centre(self) -> NDArray[np.float64]:
        """(3,) where the camera stands."""
        pose = self.viewmat.astype(np.float64)
        return -pose[:3, :3].T @ pose[:3, 3]

    @property
    def axis(self) -> NDArray[np.float64]:
        """(3,) unit viewing direction."""
        return self.viewmat[2, :3].astype(np.float64)

    def mask(self) -> NDArray[np.bool_] | None:
        """(height, width) where the subject is, or None where everything counts.

        Raises BadPosedInput when the mask is missing or can't be read.
        """
        if self.mask_path is None:
            return None
        alpha = cv2.imread(str(self.mask_path), cv2.IMREAD_GRAYSCALE)
        if alpha is None:
            raise BadPosedInput(
                f"masks/{self.mask_path.name} is missing or can't be read; every image needs a mask when masks/ is there."
            )
        small = cv2.resize(alpha, (self.width, self.height), interpolation=cv2.INTER_AREA)
        return small >= MASK_OPAQUE


@dataclass(frozen=True, kw_only=True)
class MeshViews:
    """Views in the order of their names: those to fuse, and those only to judge by."""

    training: list[MeshView]
    held_out: list[MeshView]
    masked: bool


def read_views(posed: Path, *, side_px: int, masks: Path | None = None) -> MeshViews:
    """The cameras of `posed/colmap`, and their masks where `posed/masks` is there; `masks` is another folder of them to take instead.

    Raises BadPosedInput when the model can't be read, isn't PINHOLE, or has fewer than three views.
    """
    _, read = read_posed(posed, masks)
    views = []
    for view in read:
        factor = min(1.0, side_px / max(view.width, view.height))
        width, height = max(1, round(view.width * factor)), max(1, round(view.height * factor))
        K = view.K.copy()
        K[0] *= width / view.width
        K[1] *= height / view.height
        views.append(
            MeshView(name=view.name, viewmat=view.viewmat.astype(np.float32), K=K.astype(np.float32), width=width, height=height,
                     mask_path=view.mask_path)
        )  # fmt: skip
    if len(views) < 3:
        raise BadPosedInput(f"The model has {len(views)} posed images; a mesh needs at least 3 that see its surface.")
    held = set(held_out_names(view.name for view in views))
    return MeshViews(
        training=[v for v in views if v.name not in held],
        held_out=[v for v in views if v.name in held],
        masked=any(v.mask_path is not None for v in views),
    )


def evenly(views: list[MeshView], count: int) -> list[MeshView]:
    """At most `count` of the views, evenly spread over their order."""
    if len(views) <= count:
        return views
    return [views[i] for i in np.unique(np.linspace(0, len(views) - 1, count).round().astype(int))]
