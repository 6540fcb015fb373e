"""`views.zip`: the held-out photos with their cameras, as a viewer in a browser wants them, to compare what it renders with them.

The archive holds `views.json` and the photos, stored as they are: `{"version": 1, "frame": "RUB", "views": [{"name", "file", "width",
"height", "fx", "fy", "cx", "cy", "world_from_camera"}]}`. The world is the Y-up frame of scene.spz. A camera looks along -z, x is right
and y up, as in OpenGL and three.js. Pixel (0, 0) is the corner of the first pixel of the JPEG, whose size `width` and `height` are.
"""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
from numpy.typing import NDArray

from tasks.export.pictures import jpeg, photo_on_ground, scaled

VIEWS = "views.zip"
VERSION = 1
MOST = 24
SIDE_PX = 960
QUALITY = 88
RUB_FROM_RDF = np.diag([1.0, -1.0, -1.0, 1.0])  # of the world, and of a camera's own axes as well


def write_views(
    path: Path, model: pycolmap.Reconstruction, images: Path, names: Sequence[str], masks: Path | None = None
) -> int:
    """Write the archive; the same input gives the same bytes. Returns the number of views.

    Args:
        path: of the archive.
        model: PINHOLE cameras of the size of the photos, in the unit of the result.
        images: the photos, by name.
        names: of the held-out views; at most 24 of them are taken, evenly spread. One without a pose or a photo is left out.
        masks: `<name with .png>` of each: what of the photos the scene is of; the rest is shown as the neutral ground.

    Raises OSError when it can't be written.
    """
    by_name = {image.name: image for image in model.images.values() if image.has_pose}
    posed = [name for name in names if name in by_name]
    views: list[dict[str, Any]] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in evenly(posed, MOST):
            photo = photo_on_ground(images, name, masks)
            if photo is None:
                continue
            small, file = scaled(photo, SIDE_PX), f"{len(views):02d}.jpg"
            image = by_name[name]
            views.append(_view(name, file, small.shape[1::-1], image, model.cameras[image.camera_id]))
            _store(archive, file, jpeg(small, QUALITY))
        told = {"version": VERSION, "frame": "RUB", "views": views}
        _store(archive, "views.json", json.dumps(told, allow_nan=False).encode("ascii"))
    return len(views)


def evenly(names: Sequence[str], most: int) -> list[str]:
    """At most so many of the names, evenly spread over their order."""
    if len(names) <= most:
        return list(names)
    return [names[int(i)] for i in np.unique(np.linspace(0, len(names) - 1, most).round().astype(int))]


def world_from_camera(image: pycolmap.Image) -> NDArray[np.float64]:
    """(4, 4) of a posed image, both frames with y up, see the module."""
    viewmat = np.eye(4)
    viewmat[:3] = image.cam_from_world().matrix()
    return np.asarray(RUB_FROM_RDF @ np.linalg.inv(viewmat) @ RUB_FROM_RDF, np.float64)


def _view(
    name: str, file: str, size: tuple[int, ...], image: pycolmap.Image, camera: pycolmap.Camera
) -> dict[str, Any]:
    width, height = size
    K = np.asarray(camera.calibration_matrix(), np.float64)
    across, down = width / camera.width, height / camera.height
    return {
        "name": name,
        "file": file,
        "width": width,
        "height": height,
        "fx": float(K[0, 0]) * across,
        "fy": float(K[1, 1]) * down,
        "cx": float(K[0, 2]) * across,
        "cy": float(K[1, 2]) * down,
        "world_from_camera": (world_from_camera(image) + 0.0).tolist(),  # no -0.0
    }


def _store(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name), data)  # ZipInfo's own time, 1980, whatever the clock says
