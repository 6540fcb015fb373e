"""Which lens model a clip needs, decided by the reprojection error and not by the name of the camera."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pycolmap
from scipy.optimize import least_squares

CANDIDATES = ("FULL_OPENCV", "OPENCV_FISHEYE")
MIN_GAIN = 0.03  # a richer model must lower the mean error by this fraction
MIN_ERROR_PX = 0.3  # below it no other model is tried
MIN_OBSERVATIONS = 2000


def convert(camera: pycolmap.Camera, model: str) -> pycolmap.Camera:
    """A camera of another model that projects (nearly) alike: its parameters are fitted on a grid over the image."""
    other = pycolmap.Camera.create_from_model_name(
        camera.camera_id, model, camera.mean_focal_length(), camera.width, camera.height
    )
    u, v = np.meshgrid(np.linspace(0.02, 0.98, 15) * camera.width, np.linspace(0.02, 0.98, 15) * camera.height)
    pixels = np.stack([u.ravel(), v.ravel()], 1)
    rays = camera.cam_from_img(pixels)
    good = np.isfinite(rays).all(1)
    rays = np.concatenate([rays[good], np.ones((int(good.sum()), 1))], 1)
    pixels = pixels[good]
    start = other.params.copy()
    start[list(other.principal_point_idxs())] = [camera.principal_point_x, camera.principal_point_y]

    def residual(params: np.ndarray) -> np.ndarray:
        other.params = params
        return np.nan_to_num(other.img_from_cam(rays) - pixels, nan=1e3).ravel()

    scale = np.where(np.abs(start) > 1, np.abs(start), 0.1)
    other.params = least_squares(residual, start, x_scale=scale, max_nfev=200).x
    other.has_prior_focal_length = camera.has_prior_focal_length
    return other


def best_lens(
    model: pycolmap.Reconstruction, adjust: Callable[[pycolmap.Reconstruction], None]
) -> tuple[pycolmap.Reconstruction, list[dict[str, Any]]]:
    """The model with the lens that explains it best, and what was tried.

    A richer lens is kept only if it lowers the mean reprojection error by MIN_GAIN: every parameter that the views don't fix
    is a way for the shape to bend.
    """
    error = float(model.compute_mean_reprojection_error())
    trials: list[dict[str, Any]] = [{"lens": next(iter(model.cameras.values())).model_name, "error_px": error}]
    if error < MIN_ERROR_PX or model.compute_num_observations() < MIN_OBSERVATIONS:
        return model, trials
    best = model
    for name in CANDIDATES:
        trial = pycolmap.Reconstruction(model)
        for key in list(trial.cameras):
            other = convert(trial.cameras[key], name)
            trial.cameras[key].model = other.model
            trial.cameras[key].params = other.params
        adjust(trial)
        trial.update_point_3d_errors()
        found = float(trial.compute_mean_reprojection_error())
        trials.append({"lens": name, "error_px": found})
        if found < (1.0 - MIN_GAIN) * error:
            best, error = trial, found
    return best, trials
