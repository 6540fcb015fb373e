"""The views of a posed folder, as the steps after structure from motion all read them: `images/`, `colmap/`, perhaps `masks/`."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pycolmap
from numpy.typing import NDArray

from tasks.errors import BadPosedInput

PINHOLES = ("PINHOLE", "SIMPLE_PINHOLE")


@dataclass(frozen=True, kw_only=True)
class PosedView:
    """One posed, undistorted picture.

    Attributes:
        name: as in the model.
        path: the picture.
        mask_path: its mask, 255 on the subject; None where the folder has no masks.
        viewmat: (4, 4) cam_from_world.
        K: (3, 3) in pixels; (0, 0) is the corner of the first pixel.
        width, height: of the picture.
    """

    name: str
    path: Path
    mask_path: Path | None
    viewmat: NDArray[np.float64]
    K: NDArray[np.float64]
    width: int
    height: int


def mask_name(image_name: str) -> str:
    """Where the mask of an image lies in `masks/`: at the same place, as a PNG."""
    return Path(image_name).with_suffix(".png").as_posix()


def masks_in_force(trained: Path, posed: Path) -> Path | None:
    """The folder of masks that training made agree, else that of the views; None where the background is kept."""
    return next((folder / "masks" for folder in (trained, posed) if (folder / "masks").is_dir()), None)


def read_posed(posed: Path, masks: Path | None = None) -> tuple[pycolmap.Reconstruction, list[PosedView]]:
    """The model in `posed/colmap` and its posed views, by name.

    Args:
        posed: has `images/`, `colmap/` and, where only a subject is wanted, `masks/`.
        masks: another folder of masks to take instead.

    Raises:
        BadPosedInput: no model that can be read, lens distortion left, or numbers that can't be.
    """
    folder = posed / "colmap"
    if not folder.is_dir() or not (posed / "images").is_dir():
        raise BadPosedInput(f"{posed.name} needs a folder images/ and a COLMAP model in colmap/.")
    try:
        model = pycolmap.Reconstruction(str(folder))
    except Exception as error:  # pycolmap raises RuntimeError, ValueError, ...
        raise BadPosedInput(
            "colmap/ holds no COLMAP model that can be read (cameras, images and points3D are needed)."
        ) from error
    masks = masks or (posed / "masks" if (posed / "masks").is_dir() else None)
    views = [_view(posed, masks, model, image) for image in model.images.values() if image.has_pose]
    return model, sorted(views, key=lambda view: view.name)


def read_picture(path: Path, name: str, width: int, height: int, *, flags: int = cv2.IMREAD_COLOR) -> NDArray[np.uint8]:
    """The picture of a view, as OpenCV has it.

    Raises:
        BadPosedInput: it is missing, unreadable or of another size than the camera.
    """
    found = cv2.imread(str(path), flags)
    if found is None:
        raise BadPosedInput(f"images/{name} is missing or can't be read; every image of the model must be there.")
    if found.shape[:2] != (height, width):
        raise BadPosedInput(
            f"images/{name} is {found.shape[1]}x{found.shape[0]} pixels but its camera says {width}x{height}; "
            "give the undistorted images that belong to the model."
        )
    return found.astype(np.uint8, copy=False)


def _view(posed: Path, masks: Path | None, model: pycolmap.Reconstruction, image: pycolmap.Image) -> PosedView:
    camera = model.cameras[image.camera_id]
    if camera.model_name not in PINHOLES:
        raise BadPosedInput(
            f"The cameras are {camera.model_name}; undistort the images first (colmap image_undistorter), so that they are PINHOLE."
        )
    viewmat, K = np.eye(4), np.array(camera.calibration_matrix(), np.float64)
    viewmat[:3] = image.cam_from_world().matrix()
    if not (np.isfinite(viewmat).all() and np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0):
        raise BadPosedInput("The model holds poses or focal lengths that are not finite positive numbers.")
    return PosedView(
        name=image.name,
        path=posed / "images" / image.name,
        mask_path=masks / mask_name(image.name) if masks is not None else None,
        viewmat=viewmat,
        K=K,
        width=camera.width,
        height=camera.height,
    )
