"""A mesh as glTF binary.

glTF is Y-up and right-handed: our (x, y, z) is (x, -y, -z) there, as in the SPZ and camera.json. Its unit is the metre; of a scene
without a known scale the unit is the scene's own, and `asset.extras` says which.

COLOR_0 is in linear light (glTF 2.0, 3.9.2: it multiplies the base colour, which is linear); three.js, Babylon.js, Filament and
Blender take it so, and files with sRGB in it look washed out there. Eight bits of linear light show bands in the dark, so it has
16. The material is unlit (KHR_materials_unlit): the colours hold the light that was there already. A viewer that doesn't
know the extension shows it matt.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.gaussians.files import atomic_write
from tasks.gaussians.frames import FLIP
from tasks.mesh.clean import Mesh
from tasks.mesh.require import trimesh

UNLIT = "KHR_materials_unlit"


def write_glb(path: Path, mesh: Mesh, *, metres_per_unit: float | None) -> int:
    """Write the mesh of the RDF world, whole or not at all; returns the number of bytes.

    Raises DiskFull, OutputUnwritable.
    """
    library = trimesh()
    factor = 1.0 if metres_per_unit is None else metres_per_unit
    unit: Literal["m", "scene"] = "scene" if metres_per_unit is None else "m"
    color = np.concatenate([linear_light(mesh.colors), np.ones((len(mesh.colors), 1))], 1)
    body = library.Trimesh(
        vertices=mesh.vertices.astype(np.float64) * factor * FLIP,
        faces=mesh.faces,
        vertex_normals=mesh.normals * FLIP,
        vertex_attributes={"_COLOR_0": (color * 65535).round().astype(np.uint16)},
        process=False,
        validate=False,
    )
    data = library.exchange.gltf.export_glb(
        library.Scene({"mesh": body}), include_normals=True, tree_postprocessor=lambda tree: describe(tree, unit)
    )
    with atomic_write(path) as file:
        file.write(data)
    return len(data)


def describe(tree: dict[str, Any], unit: Literal["m", "scene"]) -> None:
    """What trimesh can't say itself, in place: 16-bit colours, the unlit material, unit and frame."""
    (primitive,) = tree["meshes"][0]["primitives"]
    attributes = primitive["attributes"]
    attributes["COLOR_0"] = attributes.pop("_COLOR_0")
    tree["accessors"][attributes["COLOR_0"]]["normalized"] = True
    tree["meshes"][0].pop("extras", None)
    tree["materials"] = [
        {
            "name": "colours of the scene",
            "doubleSided": True,  # the surface is open where no camera looked
            "pbrMetallicRoughness": {"baseColorFactor": [1, 1, 1, 1], "metallicFactor": 0, "roughnessFactor": 1},
            "extensions": {UNLIT: {}},
        }
    ]
    primitive["material"] = 0
    tree["extensionsUsed"] = [UNLIT]
    tree["asset"] = {
        "version": "2.0",
        "generator": "splatflow",
        "extras": {"unit": unit, "frame": "y up, a point (x, y, z) of scene.ply is (x, -y, -z) here"},
    }


def linear_light(srgb: NDArray[np.float32]) -> NDArray[np.float64]:
    """sRGB in [0, 1] to linear light (IEC 61966-2-1)."""
    value = np.clip(srgb.astype(np.float64), 0, 1)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
