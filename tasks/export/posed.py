"""The COLMAP model of a posed folder, as the report needs it."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray

from tasks.errors import BadPosedInput

MAX_POINTS = 200_000  # of a report; a drawing shows far fewer


@dataclass(frozen=True, kw_only=True)
class PosedViews:
    """Cameras and points in the world frame.

    Attributes:
        names: of the posed images, sorted.
        centres: (V, 3) camera positions, in the order of names.
        axes: (V, 3) unit viewing directions.
        points: (P, 3), thinned evenly when there are very many.
        colors: (P, 3) sRGB.
        num_points: before thinning.
        reprojection_error_px: mean over the observations, None where the model doesn't say.
    """

    names: tuple[str, ...]
    centres: NDArray[np.float64]
    axes: NDArray[np.float64]
    points: NDArray[np.float64]
    colors: NDArray[np.uint8]
    num_points: int
    reprojection_error_px: float | None


def read_model(posed: Path) -> pycolmap.Reconstruction:
    """The model in `posed/colmap`; BadPosedInput when there is none that can be read."""
    try:
        return pycolmap.Reconstruction(posed / "colmap")
    except Exception as error:  # pycolmap raises RuntimeError, ValueError, ...
        raise BadPosedInput(
            f"{posed / 'colmap'} holds no COLMAP model that can be read; cameras, images and points3D are needed."
        ) from error


def summarise(model: pycolmap.Reconstruction) -> PosedViews:
    """What the report shows of the model."""
    images = sorted((i for i in model.images.values() if i.has_pose), key=lambda image: image.name)
    poses = np.array([image.cam_from_world().matrix() for image in images]).reshape(-1, 3, 4)
    keys = sorted(model.points3D)
    kept = [model.points3D[key] for key in keys[:: max(1, -(-len(keys) // MAX_POINTS))]]
    error = float(model.compute_mean_reprojection_error()) if keys else math.nan
    return PosedViews(
        names=tuple(image.name for image in images),
        centres=-np.einsum("vji,vj->vi", poses[:, :, :3], poses[:, :, 3]),
        axes=poses[:, 2, :3],
        points=np.array([point.xyz for point in kept]).reshape(-1, 3),
        colors=np.array([point.color for point in kept], np.uint8).reshape(-1, 3),
        num_points=len(keys),
        reprojection_error_px=error if math.isfinite(error) and error > 0 else None,
    )
