"""The views to train on and to judge by: a folder with `images/` and a COLMAP model in `colmap/`."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pycolmap
from numpy.typing import NDArray

from tasks.errors import BadPosedInput
from tasks.geometry.heldout import held_out_names

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
        data = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        if data is None:
            raise BadPosedInput(
                f"images/{self.name} is missing or can't be read; every image of the model must be there."
            )
        if data.shape[:2] != (self.height, self.width):
            raise BadPosedInput(
                f"images/{self.name} is {data.shape[1]}x{data.shape[0]} pixels but its camera says {self.width}x{self.height}; "
                "give the undistorted images that belong to the model."
            )
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


def mask_name(image_name: str) -> str:
    """Where the mask of an image lies in `masks/`: at the same place, as a PNG."""
    return Path(image_name).with_suffix(".png").as_posix()


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
    folder = posed / "colmap"
    if not folder.is_dir() or not (posed / "images").is_dir():
        raise BadPosedInput(f"{posed.name} needs a folder images/ and a COLMAP model in colmap/.")
    try:
        model = pycolmap.Reconstruction(str(folder))
    except Exception as error:
        raise BadPosedInput(
            "colmap/ holds no COLMAP model that can be read (cameras, images and points3D are needed)."
        ) from error
    masks = masks or (posed / "masks" if (posed / "masks").is_dir() else None)
    views = []
    for image in model.images.values():
        if not image.has_pose:
            continue
        camera = model.cameras[image.camera_id]
        if camera.model_name not in ("PINHOLE", "SIMPLE_PINHOLE"):
            raise BadPosedInput(
                f"The cameras are {camera.model_name}; undistort the images first (colmap image_undistorter), so that they are PINHOLE."
            )
        viewmat = np.eye(4)
        viewmat[:3] = image.cam_from_world().matrix()
        K = np.asarray(camera.calibration_matrix(), np.float32)
        views.append(
            View(name=image.name, path=posed / "images" / image.name, viewmat=viewmat.astype(np.float32), K=K,
                 width=camera.width, height=camera.height, mask_path=masks / mask_name(image.name) if masks else None)
        )  # fmt: skip
    if len(views) < 3:
        raise BadPosedInput(f"The model has {len(views)} posed images; at least 3 are needed, one of them to judge by.")
    if not model.points3D:
        raise BadPosedInput("The model has no 3D points; splatflow starts from them.")
    if not all(
        np.isfinite(v.viewmat).all() and np.isfinite(v.K).all() and v.K[0, 0] > 0 and v.K[1, 1] > 0 for v in views
    ):
        raise BadPosedInput("The model holds poses or focal lengths that are not finite positive numbers.")
    points = np.array([p.xyz for p in model.points3D.values()], np.float32)
    colors = np.array([p.color for p in model.points3D.values()], np.float32) / np.float32(255)
    sound = np.isfinite(points).all(axis=1)
    held = set(held_out_names(view.name for view in views))
    views.sort(key=lambda view: view.name)
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
