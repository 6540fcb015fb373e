"""The views to train on and to judge by: a folder with `images/` and a COLMAP model in `colmap/`."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.errors import BadPosedInput
from tasks.geometry.heldout import held_out_names
from tasks.geometry.posed import mask_name, read_picture, read_posed

EVALUATION_SIDE_PX = 1_600


@dataclass(frozen=True, kw_only=True)
class View:
    """One posed picture."""

    name: str
    path: Path
    viewmat: NDArray[np.float32]  # (4, 4) cam_from_world
    K: NDArray[np.float32]  # (3, 3) pixels
    width: int
    height: int
    mask_path: Path | None = None  # 8-bit alpha of the subject; None: the whole picture is wanted

    def image(self) -> NDArray[np.uint8]:
        """The picture (height, width, 3) in sRGB.

        Raises BadPosedInput when the file is missing, unreadable or of another size than the camera.
        """
        data = read_picture(self.path, self.name, self.width, self.height)
        return cv2.cvtColor(data, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)

    def mask(self) -> NDArray[np.uint8]:
        """The subject's alpha (height, width), 255 on the subject.

        Raises BadPosedInput when there is none, the file is missing, unreadable or of another size than the camera.
        """
        name = mask_name(self.name)
        data = cv2.imread(str(self.mask_path), cv2.IMREAD_GRAYSCALE) if self.mask_path else None
        if data is None:
            raise BadPosedInput(
                f"masks/{name} is missing or can't be read; with a folder masks/ every image needs its mask."
            )
        if data.shape != (self.height, self.width):
            raise BadPosedInput(
                f"masks/{name} is {data.shape[1]}x{data.shape[0]} pixels but its camera says {self.width}x{self.height}; "
                "a mask has the size of its image."
            )
        return data.astype(np.uint8, copy=False)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Views in the order of their names, and the points of the model."""

    training: list[View]
    held_out: list[View]
    points: NDArray[np.float32]  # (P, 3)
    colors: NDArray[np.float32]  # (P, 3) sRGB in [0, 1]

    @property
    def views(self) -> list[View]:
        """All views, by name."""
        return sorted(self.training + self.held_out, key=lambda view: view.name)

    @property
    def masked(self) -> bool:
        """Whether the subject alone is wanted."""
        return self.views[0].mask_path is not None


def load_dataset(posed: Path, masks: Path | None = None) -> Dataset:
    """Read `posed/colmap`, find the pictures in `posed/images` and, where there is such a folder, the masks in `posed/masks`.

    `masks` is another folder of masks to take instead.

    Raises BadPosedInput when the model can't be read, has lens distortion, fewer than three views or no points.
    """
    model, read = read_posed(posed, masks)
    views = [
        View(name=v.name, path=v.path, viewmat=v.viewmat.astype(np.float32), K=v.K.astype(np.float32), width=v.width,
             height=v.height, mask_path=v.mask_path)
        for v in read
    ]  # fmt: skip
    if len(views) < 3:
        raise BadPosedInput(f"The model has {len(views)} posed images; at least 3 are needed, one of them to judge by.")
    if not model.points3D:
        raise BadPosedInput("The model has no 3D points; splatflow starts from them.")
    points = np.array([p.xyz for p in model.points3D.values()], np.float32)
    colors = np.array([p.color for p in model.points3D.values()], np.float32) / np.float32(255)
    sound = np.isfinite(points).all(axis=1)
    held = set(held_out_names(view.name for view in views))
    return Dataset(
        training=[v for v in views if v.name not in held],
        held_out=[v for v in views if v.name in held],
        points=points[sound],
        colors=colors[sound],
    )


def evaluation_mask(view: View) -> NDArray[np.uint8]:
    """Mask at the size that metrics are computed at, see `evaluation_view`. Raises BadPosedInput."""
    return resized(view.mask(), view.K, EVALUATION_SIDE_PX)[0]


def evaluation_view(view: View) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Picture and K at the size that metrics are computed at: native, the long side capped at 1,600 px."""
    return resized(view.image(), view.K, EVALUATION_SIDE_PX)


def resized(
    image: NDArray[np.uint8], K: NDArray[np.float32], side_px: float
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The picture with its long side at `side_px` at most, averaged over areas, and K to match; never enlarged."""
    height, width = image.shape[:2]
    factor = min(1.0, side_px / max(height, width))
    if factor == 1.0:
        return image, K
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    scaled = K.copy()
    scaled[0] *= size[0] / width
    scaled[1] *= size[1] / height
    return small.astype(np.uint8, copy=False), scaled
