"""What steps that not every run has add to a result: its true size, the subject's masks, a mesh, a turntable."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from tasks.errors import BadScene
from tasks.export.options import Extras
from tasks.gaussians.model import Gaussians
from tasks.gaussians.spz_streams import FRACTIONAL_BITS
from tasks.gaussians.transform import in_unit

MOST_BITS = 20  # of an SPZ's positions: a micrometre where a unit is a metre
MESH = "mesh.glb"
TURNTABLE = ("turntable.mp4", "poster.jpg")


@dataclass(frozen=True, kw_only=True)
class Told:
    """The records of those steps; None: not run."""

    mask: Mapping[str, Any] | None
    scale: Mapping[str, Any] | None
    mesh: Mapping[str, Any] | None
    turntable: Mapping[str, Any] | None = None

    @property
    def metres_per_unit(self) -> float | None:
        """What makes lengths of the trained scene metres; None: its size is not known.

        Raises:
            BadScene: scale.json holds something else than a positive number.
        """
        factor = (self.scale or {}).get("metres_per_unit")
        if factor is None:
            return None
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not (0 < factor < math.inf):
            raise BadScene("scale.json has a factor that is not a positive number; run again.")
        return float(factor)


def read(extras: Extras) -> Told:
    """The records in the folders.

    Raises:
        BadScene: one is missing or can't be read.
    """
    return Told(
        mask=_record(extras.mask, "mask.json"),
        scale=_record(extras.scale, "scale.json"),
        mesh=_record(extras.mesh, "mesh.json"),
        turntable=_record(extras.turntable, "turntable.json"),
    )


def files(extras: Extras) -> Iterator[Path]:
    """What of the folders goes into the result as it is."""
    if extras.mesh is not None and (extras.mesh / MESH).is_file():  # there may have been no surface
        yield extras.mesh / MESH
    if extras.turntable is not None:
        yield from (extras.turntable / name for name in TURNTABLE)


def in_metres(
    gaussians: Gaussians, model: pycolmap.Reconstruction, camera: Mapping[str, Any], factor: float
) -> tuple[Gaussians, dict[str, Any]]:
    """The scene and its framing with lengths times `factor`; `model` is changed in place.

    Nothing turns and the origin stays, so that only lengths change.
    """
    model.transform(pycolmap.Sim3d(factor, pycolmap.Rotation3d(), np.zeros(3)))
    places = {name: {axis: factor * v for axis, v in camera[name].items()} for name in ("position", "lookAt")}
    return in_unit(gaussians, factor), {**camera, **places}


def spz_bits(factor: float | None) -> int:
    """Fractional bits of an SPZ's positions that keep them as fine, seen from the cameras, as in the unit of training."""
    if factor is None:
        return FRACTIONAL_BITS
    return min(MOST_BITS, FRACTIONAL_BITS + max(0, math.ceil(-math.log2(factor))))


def world_from_sfm(sfm: Mapping[str, Any] | None, factor: float | None) -> Any:
    """The matrix (4, 4) of sfm.json, to metres when the scene is in metres."""
    matrix = (sfm or {}).get("world_from_sfm")
    if matrix is None or factor is None:
        return matrix
    return (np.diag([factor, factor, factor, 1.0]) @ np.array(matrix, np.float64)).tolist()


def _record(folder: Path | None, name: str) -> Mapping[str, Any] | None:
    if folder is None:
        return None
    try:
        value = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadScene(f"{folder / name} is missing or can't be read; run again.") from error
    if not isinstance(value, Mapping):
        raise BadScene(f"{folder / name} doesn't hold what it should; run again.")
    return value
