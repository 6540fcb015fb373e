"""From the lens as it is to PINHOLE images without black borders."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pycolmap

from tasks.geometry.cameras import pixels_from_rays
from tasks.sfm.capture import Capture
from tasks.sfm.features import one_opencv_thread

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


def undistort_all(
    capture: Capture,
    jobs: list[tuple[str, int]],
    cameras: dict[int, tuple[pycolmap.Camera, Pinhole]],
    out: Path,
    *,
    jpeg_quality: int,
    num_threads: int,
    progress: Callable[[int, int], None],
) -> None:
    """Write the pinhole view of each (name, camera id) to `out`; `progress(done, total)` may raise to stop."""
    tables = {key: remap_tables(*pair) for key, pair in cameras.items()}

    def one(job: tuple[str, int]) -> None:
        name, key = job
        photo = cv2.imdecode(np.fromfile(capture.folder / name, np.uint8), cv2.IMREAD_COLOR)
        if photo is None:
            raise ValueError(f"{name} is not a readable image")
        camera, pinhole = cameras[key]
        if pinhole.width < camera.width:  # smooth before sampling sparsely
            sigma = 0.5 * np.sqrt(max((camera.width / pinhole.width) ** 2 - 1.0, 0.0))
            photo = cv2.GaussianBlur(photo, (0, 0), sigma) if sigma > 0.1 else photo
        view = cv2.remap(photo, *tables[key], interpolation=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        encoded = cv2.imencode(".jpg", view, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])[1]
        (out / name).write_bytes(encoded.tobytes())

    with one_opencv_thread(), ThreadPoolExecutor(num_threads) as pool:
        try:
            for done, _ in enumerate(pool.map(one, jobs), 1):
                progress(done, len(jobs))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
