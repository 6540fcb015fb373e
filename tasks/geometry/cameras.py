"""Rays and pixels of a pycolmap camera, many at once, with types that say what they are."""

from typing import Any

import numpy as np
import pycolmap


def rays_from_pixels(camera: pycolmap.Camera, pixels: np.ndarray) -> np.ndarray:
    """(N, 2) pixels -> (N, 2) points on the plane z = 1; NaN where the lens model has no inverse."""
    found: Any = camera.cam_from_img(np.ascontiguousarray(pixels, np.float64))
    return found


def pixels_from_rays(camera: pycolmap.Camera, rays: np.ndarray) -> np.ndarray:
    """(N, 2) points on the plane z = 1 -> (N, 2) pixels."""
    found: Any = camera.img_from_cam(np.concatenate([rays, np.ones((len(rays), 1))], 1))
    return found


def pixel_grid(camera: pycolmap.Camera, count: int, margin: float = 0.0) -> np.ndarray:
    """(count^2, 2) pixels spread evenly over the image, row by row, keeping off its edge by `margin` of its size."""
    s = np.linspace(margin, 1.0 - margin, count)
    u, v = np.meshgrid(s * camera.width, s * camera.height)
    return np.stack([u.ravel(), v.ravel()], 1)


def with_focal(camera: pycolmap.Camera, focal_px: float) -> list[float]:
    """The camera's parameters with both focal lengths replaced."""
    params = np.array(camera.params)
    params[list(camera.focal_length_idxs())] = focal_px
    return params.tolist()
