"""glTF binary with the Khronos extension KHR_gaussian_splatting, which engines and asset pipelines read.

Source: the glTF 2.0 specification and that of the extension. One POINTS primitive, all attributes float32: POSITION,
ROTATION (xyzw), SCALE (linear), OPACITY (0 to 1), SH_DEGREE_l_COEF_n, and COLOR_0 in linear light for viewers that know
points only. glTF is Y-up, so everything is turned to RUB.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.errors import BadScene
from tasks.gaussians.files import atomic_write
from tasks.gaussians.frames import FLIP, FLIP_SH, normalised, sigmoid
from tasks.gaussians.model import Gaussians
from tasks.gaussians.ply import check_finite
from tasks.gaussians.splat import MAX_LOG_SCALE, SH_C0

EXTENSION = "KHR_gaussian_splatting"
TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
FLOAT, ARRAY_BUFFER, POINTS = 5126, 34962, 0
MAX_BYTES = 2**32 - 1


def write_glb(path: Path, gaussians: Gaussians) -> None:
    """Write Gaussians of the RDF world, whole or not at all.

    Raises:
        BadScene: there are none, a value is not finite, or the file would exceed the 4 GiB that GLB can hold.
        DiskFull, OutputUnwritable.
    """
    check_finite(gaussians, "The scene to write")
    arrays = attributes(gaussians)
    size = sum(array.nbytes for array in arrays.values())
    text = json.dumps(description(arrays), separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + size
    if total > MAX_BYTES:
        raise BadScene(f"{len(gaussians):,} Gaussians don't fit the 4 GiB of a GLB file; write SPZ or PLY.")
    with atomic_write(path) as file:
        file.write(struct.pack("<4sII", b"glTF", 2, total))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", size, b"BIN\0"))
        for array in arrays.values():
            file.write(array.data)


def attributes(gaussians: Gaussians) -> dict[str, NDArray[np.float32]]:
    """Attributes of the primitive by name, (N, C) contiguous little-endian float32 in RUB."""
    opacities = sigmoid(gaussians.opacities)
    quats = normalised(gaussians.quats)
    base = np.clip(0.5 + SH_C0 * gaussians.sh_coeffs[:, 0].astype(np.float64), 0, 1)
    linear = np.where(base <= 0.04045, base / 12.92, ((base + 0.055) / 1.055) ** 2.4)
    found = {
        "POSITION": gaussians.means * FLIP,
        "COLOR_0": np.concatenate([linear, opacities[:, None]], 1),
        f"{EXTENSION}:ROTATION": np.concatenate([quats[:, 1:] * FLIP, quats[:, :1]], 1),
        f"{EXTENSION}:SCALE": np.exp(np.minimum(gaussians.scales, MAX_LOG_SCALE)),
        f"{EXTENSION}:OPACITY": opacities[:, None],
    }
    signs = np.concatenate([np.ones(1, np.float32), FLIP_SH])
    for degree in range(gaussians.sh_degree + 1):
        for order in range(2 * degree + 1):
            index = degree * degree + order
            found[f"{EXTENSION}:SH_DEGREE_{degree}_COEF_{order}"] = gaussians.sh_coeffs[:, index] * signs[index]
    return {name: np.ascontiguousarray(array, "<f4") for name, array in found.items()}


def description(arrays: dict[str, NDArray[np.float32]]) -> dict[str, Any]:
    """The glTF JSON: one node, one mesh, one primitive; a buffer view and an accessor per attribute."""
    accessors, views, offset = [], [], 0
    for name, array in arrays.items():
        accessor: dict[str, Any] = {
            "bufferView": len(views),
            "componentType": FLOAT,
            "count": len(array),
            "type": TYPES[array.shape[1]],
        }
        if name == "POSITION":  # the one that must tell its bounds
            accessor |= {"min": array.min(0).tolist(), "max": array.max(0).tolist()}
        accessors.append(accessor)
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": array.nbytes, "target": ARRAY_BUFFER})
        offset += array.nbytes
    primitive = {
        "mode": POINTS,
        "attributes": {name: index for index, name in enumerate(arrays)},
        "extensions": {
            EXTENSION: {
                "kernel": "ellipse",
                "colorSpace": "srgb_rec709_display",
                "projection": "perspective",
                "sortingMethod": "cameraDistance",
            }
        },
    }
    return {
        "asset": {"version": "2.0", "generator": "splatflow"},
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": offset}],
    }
