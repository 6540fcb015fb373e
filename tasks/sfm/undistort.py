"""The frames as their pinhole cameras see them, written as pictures."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pycolmap

from tasks.geometry.pinhole import Pinhole, remap_tables
from tasks.sfm.capture import Capture
from tasks.sfm.features import one_opencv_thread


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
