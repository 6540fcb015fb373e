"""Posed, undistorted views, as far as the scale step needs them."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pycolmap
from numpy.typing import NDArray

from tasks.errors import BadPosedInput

Array = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class PosedView:
    """One posed picture.

    Attributes:
        name: as in the model.
        path: the picture.
        rotation: (3, 3) cam_from_world.
        centre: (3,) of the camera, in the world.
        focal: (2,) fx, fy in pixels.
        principal: (2,) cx, cy; (0, 0) is the corner of the first pixel.
        width, height: of the picture.
    """

    name: str
    path: Path
    rotation: Array
    centre: Array
    focal: Array
    principal: Array
    width: int
    height: int

    def gray(self) -> NDArray[np.uint8]:
        """The picture (height, width) in gray.

        Raises:
            BadPosedInput: it is missing, unreadable or of another size than the camera.
        """
        found = cv2.imread(str(self.path), cv2.IMREAD_GRAYSCALE)
        if found is None:
            raise BadPosedInput(
                f"images/{self.name} is missing or can't be read; every image of the model must be there."
            )
        if found.shape != (self.height, self.width):
            raise BadPosedInput(
                f"images/{self.name} is {found.shape[1]}x{found.shape[0]} pixels but its camera says {self.width}x{self.height}; "
                "give the undistorted images that belong to the model."
            )
        return found.astype(np.uint8, copy=False)

    def project(self, points: Array) -> Array:
        """(N, 3) points in the world -> (N, 2) pixels; NaN behind the camera."""
        x = (points - self.centre) @ self.rotation.T
        depth = np.where(x[:, 2] > 1e-9, x[:, 2], np.nan)
        return x[:, :2] / depth[:, None] * self.focal + self.principal


def load_views(posed: Path) -> tuple[list[PosedView], float]:
    """The posed views of `posed/colmap` by name, and the model's mean reprojection error in pixels (0 without points).

    Raises:
        BadPosedInput: no model, lens distortion left, or numbers that can't be.
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
    views = []
    for image in model.images.values():
        if not image.has_pose:
            continue
        camera = model.cameras[image.camera_id]
        if camera.model_name not in ("PINHOLE", "SIMPLE_PINHOLE"):
            raise BadPosedInput(
                f"The cameras are {camera.model_name}; undistort the images first (colmap image_undistorter), so that they are PINHOLE."
            )
        K, pose = np.asarray(camera.calibration_matrix(), float), np.asarray(image.cam_from_world().matrix(), float)
        if not (np.isfinite(K).all() and np.isfinite(pose).all() and K[0, 0] > 0 and K[1, 1] > 0):
            raise BadPosedInput("The model holds poses or focal lengths that are not finite positive numbers.")
        views.append(
            PosedView(
                name=image.name,
                path=posed / "images" / image.name,
                rotation=pose[:, :3],
                centre=-pose[:, :3].T @ pose[:, 3],
                focal=np.array([K[0, 0], K[1, 1]]),
                principal=K[:2, 2],
                width=camera.width,
                height=camera.height,
            )
        )
    error_px = float(model.compute_mean_reprojection_error()) if model.num_points3D() else 0.0
    return sorted(views, key=lambda view: view.name), error_px if np.isfinite(error_px) else 0.0
