"""The .splat file of antimatter15's viewer (MIT): 32 bytes a Gaussian, no header, no view-dependent colour.

Little-endian: position 3 float32, scale 3 float32 (linear), colour and opacity RGBA 4 uint8, rotation wxyz 4 uint8
(128 q + 128). The biggest and most opaque come first, so that a file half loaded shows something. RDF, as the PLY.
"""

from pathlib import Path

import numpy as np

from tasks.gaussians.files import atomic_write
from tasks.gaussians.frames import normalised, sigmoid
from tasks.gaussians.model import Gaussians
from tasks.gaussians.ply import check_finite

ROW = np.dtype([("position", "<f4", 3), ("scale", "<f4", 3), ("color", "u1", 4), ("rotation", "u1", 4)])
SH_C0 = 0.28209479177387814
MAX_LOG_SCALE = 80.0  # exp of more doesn't fit a float32


def write_splat(path: Path, gaussians: Gaussians) -> None:
    """Write Gaussians of the RDF world, whole or not at all. Harmonics above degree 0 are left out.

    Raises:
        BadScene: there are none, or a value is not finite.
        DiskFull, OutputUnwritable.
    """
    check_finite(gaussians, "The scene to write")
    opacities = sigmoid(gaussians.opacities)
    volume = gaussians.scales.sum(1, dtype=np.float64)  # logarithm; the order is that of volume times opacity
    order = np.argsort(-(volume + np.log(np.maximum(opacities, 1e-30))), kind="stable")
    rows = np.empty(len(gaussians), ROW)
    rows["position"] = gaussians.means
    rows["scale"] = np.exp(np.minimum(gaussians.scales, MAX_LOG_SCALE))
    rows["color"][:, :3] = _to_uint8((0.5 + SH_C0 * gaussians.sh_coeffs[:, 0].astype(np.float64)) * 255)
    rows["color"][:, 3] = _to_uint8(opacities * 255.0)
    rows["rotation"] = _to_uint8(normalised(gaussians.quats) * 128.0 + 128.0)
    with atomic_write(path) as file:
        file.write(rows[order].tobytes())


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
