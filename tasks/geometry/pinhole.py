"""From a lens as it is to a pinhole view without black borders."""

from dataclasses import dataclass

import numpy as np
import pycolmap

from tasks.geometry.cameras import pixels_from_rays

BORDER_SAMPLES = 257
MAX_ZOOM = 4.0


@dataclass(frozen=True, kw_only=True)
class Pinhole:
    """A distortion-free view of a camera: focal lengths and principal point in pixels of an image of this size."""

    width: int
    height: int
    focal_px: float
    cx: float
    cy: float

    def camera(self, camera_id: int) -> pycolmap.Camera:
        params = [self.focal_px, self.focal_px, self.cx, self.cy]
        return pycolmap.Camera(
            camera_id=camera_id, model="PINHOLE", width=self.width, height=self.height, params=params
        )


def capped_size(width: int, height: int, side_px: int) -> tuple[int, int]:
    """(width, height) scaled down, never up, to a long side of at most `side_px`."""
    factor = min(1.0, side_px / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _sources(camera: pycolmap.Camera, pinhole: Pinhole, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(N, 2) pixels of the distorted image for pixels (u, v) of the pinhole."""
    rays = np.stack([(u - pinhole.cx) / pinhole.focal_px, (v - pinhole.cy) / pinhole.focal_px], 1)
    return pixels_from_rays(camera, rays)


def _fits(camera: pycolmap.Camera, pinhole: Pinhole) -> bool:
    """Whether the pinhole's border comes from inside the photo."""
    s = np.linspace(0.0, 1.0, BORDER_SAMPLES)
    zero, one = np.zeros_like(s), np.ones_like(s)
    u = np.concatenate([s, s, zero, one]) * pinhole.width
    v = np.concatenate([zero, one, s, s]) * pinhole.height
    xy = _sources(camera, pinhole, u, v)
    slack = 0.5  # the centre of the outermost pixel
    inside = (xy >= -slack) & (xy <= np.array([camera.width, camera.height]) + slack)
    return bool(np.isfinite(xy).all() and inside.all())


def fit_pinhole(camera: pycolmap.Camera, side_px: int) -> Pinhole:
    """The widest pinhole view of native size (long side at most `side_px`) that shows nothing from outside the photo.

    Pixels are square. The principal point is the camera's. Zooming in is the only freedom, so that no border is blank.

    Raises:
        ValueError: even a four-fold zoom shows blank pixels: the lens model is nonsense.
    """
    width, height = capped_size(camera.width, camera.height, side_px)
    factor = width / camera.width
    base = camera.mean_focal_length() * factor

    def view(zoom: float) -> Pinhole:
        return Pinhole(
            width=width,
            height=height,
            focal_px=base * zoom,
            cx=camera.principal_point_x * factor,
            cy=camera.principal_point_y * height / camera.height,
        )

    zooms = np.geomspace(0.5, MAX_ZOOM, 60)
    first = next((i for i, z in enumerate(zooms) if all(_fits(camera, view(w)) for w in zooms[i : i + 3])), None)
    if first is None:
        raise ValueError("no distortion-free view fits into the photo")
    low, high = (zooms[first - 1], zooms[first]) if first else (zooms[0] * 0.9, zooms[0])
    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if _fits(camera, view(middle)) else (middle, high)
    return view(high)


def remap_tables(camera: pycolmap.Camera, pinhole: Pinhole) -> tuple[np.ndarray, np.ndarray]:
    """OpenCV maps (height, width) float32: where each pixel of the pinhole comes from (OpenCV: first centre is 0)."""
    u, v = np.meshgrid(np.arange(pinhole.width) + 0.5, np.arange(pinhole.height) + 0.5)
    xy = _sources(camera, pinhole, u.ravel(), v.ravel()) - 0.5
    shape = (pinhole.height, pinhole.width)
    return xy[:, 0].reshape(shape).astype(np.float32), xy[:, 1].reshape(shape).astype(np.float32)
