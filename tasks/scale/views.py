"""Posed, undistorted views, as far as the scale step needs them."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.geometry.posed import read_picture, read_posed

Array = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class TagView:
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
        return read_picture(self.path, self.name, self.width, self.height, flags=cv2.IMREAD_GRAYSCALE)

    def project(self, points: Array) -> Array:
        """(N, 3) points in the world -> (N, 2) pixels; NaN behind the camera."""
        x = (points - self.centre) @ self.rotation.T
        depth = np.where(x[:, 2] > 1e-9, x[:, 2], np.nan)
        return x[:, :2] / depth[:, None] * self.focal + self.principal


def load_views(posed: Path) -> tuple[list[TagView], float]:
    """The posed views of `posed/colmap` by name, and the model's mean reprojection error in pixels (0 without points).

    Raises:
        BadPosedInput: no model, lens distortion left, or numbers that can't be.
    """
    model, read = read_posed(posed)
    views = [
        TagView(
            name=view.name,
            path=view.path,
            rotation=view.viewmat[:3, :3],
            centre=-view.viewmat[:3, :3].T @ view.viewmat[:3, 3],
            focal=np.array([view.K[0, 0], view.K[1, 1]]),
            principal=view.K[:2, 2],
            width=view.width,
            height=view.height,
        )
        for view in read
    ]
    error_px = float(model.compute_mean_reprojection_error()) if model.num_points3D() else 0.0
    return views, error_px if np.isfinite(error_px) else 0.0
