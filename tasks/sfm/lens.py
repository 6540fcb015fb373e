"""Which lens model a clip needs, decided by the reprojection error and not by the name of the camera."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pycolmap
from scipy.optimize import least_squares

from tasks.geometry.cameras import pixel_grid, pixels_from_rays, rays_from_pixels

CANDIDATES = ("OPENCV", "FULL_OPENCV", "OPENCV_FISHEYE")
FEW_FRAMES = 20  # they don't fix eight lens parameters
MIN_GAIN = 0.03  # a richer model must lower the mean error by this fraction
MIN_ERROR_PX = 0.3  # below it no other model is tried
MIN_OBSERVATIONS = 2000


def starting_lens(frames: int) -> str:
    """The lens model to map with: OPENCV recovers focal length and distortion of phones and action cameras, given views enough.

    With a few views its freedom is spent on bending the shape, so they begin with one distortion parameter.
    """
    return "SIMPLE_RADIAL" if frames < FEW_FRAMES else "OPENCV"


def convert(camera: pycolmap.Camera, model: str) -> pycolmap.Camera:
    """A camera of another model that projects (nearly) alike: its parameters are fitted on a grid over the image."""
    other = pycolmap.Camera.create_from_model_name(
        camera.camera_id, model, camera.mean_focal_length(), camera.width, camera.height
    )
    pixels = pixel_grid(camera, 15, margin=0.02)
    rays = rays_from_pixels(camera, pixels)
    good = np.isfinite(rays).all(1)
    rays, pixels = rays[good], pixels[good]
    start = np.array(other.params)
    fixed = list(other.principal_point_idxs())
    start[fixed] = [camera.principal_point_x, camera.principal_point_y]

    def residual(params: np.ndarray) -> np.ndarray:
        params = params.copy()
        params[fixed] = start[fixed]
        other.params = params.tolist()
        return np.nan_to_num(pixels_from_rays(other, rays) - pixels, nan=1e3).ravel()

    scale = np.where(np.abs(start) > 1, np.abs(start), 0.1)
    residual(least_squares(residual, start, x_scale=scale, max_nfev=200).x)
    other.has_prior_focal_length = camera.has_prior_focal_length
    return other


def lens_is_sane(camera: pycolmap.Camera) -> bool:
    """Whether rays and pixels map one to one over the whole image, which a polynomial fitted to its middle may not."""
    pixels = pixel_grid(camera, 33)
    rays = rays_from_pixels(camera, pixels)
    if not np.isfinite(rays).all():
        return False
    back = pixels_from_rays(camera, rays)
    if not np.isfinite(back).all() or np.abs(back - pixels).max() > 1.0:
        return False
    grid = rays.reshape(33, 33, 2)
    step_u, step_v = np.diff(grid, axis=1)[:-1], np.diff(grid, axis=0)[:, :-1]
    area = step_u[..., 0] * step_v[..., 1] - step_u[..., 1] * step_v[..., 0]
    return bool((area > 0).all())


def best_lens(
    model: pycolmap.Reconstruction, adjust: Callable[[pycolmap.Reconstruction], None]
) -> tuple[pycolmap.Reconstruction, list[dict[str, Any]]]:
    """The model with the lens that explains it best, and what was tried.

    A richer lens is kept only if it lowers the mean reprojection error by MIN_GAIN: every parameter that the views don't fix
    is a way for the shape to bend.
    """
    error = float(model.compute_mean_reprojection_error())
    trials: list[dict[str, Any]] = [{"lens": next(iter(model.cameras.values())).model_name, "error_px": error}]
    own = trials[0]["lens"]
    if (error < MIN_ERROR_PX and own != "SIMPLE_RADIAL") or model.compute_num_observations() < MIN_OBSERVATIONS:
        return model, trials
    best = model
    for name in CANDIDATES:
        if name == own:
            continue
        trial = pycolmap.Reconstruction(model)
        for key in list(trial.cameras):
            other = convert(trial.cameras[key], name)
            trial.cameras[key].model = other.model
            trial.cameras[key].params = other.params.tolist()
        adjust(trial)
        trial.update_point_3d_errors()
        found = float(trial.compute_mean_reprojection_error())
        trials.append({"lens": name, "error_px": found})
        sane = all(lens_is_sane(camera) for camera in trial.cameras.values())
        trials[-1]["sane"] = sane
        if sane and found < (1.0 - MIN_GAIN) * error:
            best, error = trial, found
    return best, trials
