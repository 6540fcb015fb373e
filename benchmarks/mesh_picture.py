"""A picture of a mesh: `python -m benchmarks.mesh_picture MESH.glb POSED VIEW OUT.png`.

Left: its colours; right: its shape, lit from the camera. Seen by camera number VIEW of the posed folder, which is one in the
scene's own unit: the mesh must be too. Only the mesh is drawn, by casting rays; no display is needed.
"""

import argparse
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from tasks.gaussians.frames import FLIP
from tasks.mesh.clean import Mesh
from tasks.mesh.raycast import Raycaster
from tasks.mesh.views import MeshView, read_views

GROUND = 245  # the picture's background


def read_mesh(path: Path) -> Mesh:
    """A mesh that the mesh step has written, back in the frame of the scene."""
    (body,) = trimesh.load_scene(path, process=False).geometry.values()
    linear = np.asarray(body.visual.vertex_attributes["color"], np.float64)[:, :3] / 65535
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return Mesh(
        vertices=(np.asarray(body.vertices) * FLIP).astype(np.float32),
        faces=np.asarray(body.faces, np.int32),
        normals=(np.asarray(body.vertex_normals) * FLIP).astype(np.float32),
        colors=srgb.astype(np.float32),
    )


def picture(mesh: Mesh, view: MeshView) -> np.ndarray:
    """(H, 2 W, 3) uint8 RGB: colours and shape side by side."""
    _, faces, uv = Raycaster(mesh).cast(view)
    hit = faces >= 0
    corners = mesh.faces[faces[hit]]  # (n, 3)
    u, v = uv[hit].T
    parts = np.stack([1 - u - v, u, v], 1)[..., None]
    shape = np.full((*faces.shape, 3), GROUND, np.float64)
    color = shape.copy()
    color[hit] = 255 * (mesh.colors[corners] * parts).sum(1)
    normals = (mesh.normals[corners] * parts).sum(1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    lamp = view.viewmat[:3, :3].T @ (np.array([-0.4, -0.6, -0.7]) / np.linalg.norm([0.4, 0.6, 0.7]))
    shape[hit] = (60 + 180 * np.clip(normals @ lamp, 0, 1))[:, None]
    return np.concatenate([color, shape], 1).round().astype(np.uint8)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mesh", type=Path)
    parser.add_argument("posed", type=Path)
    parser.add_argument("view", type=int)
    parser.add_argument("out", type=Path)
    parser.add_argument("--side-px", type=int, default=600)
    args = parser.parse_args()
    views = read_views(args.posed, side_px=args.side_px)
    chosen = sorted(views.training + views.held_out, key=lambda view: view.name)[args.view]
    drawn = Image.fromarray(picture(read_mesh(args.mesh), chosen))
    drawn.quantize(256).save(args.out, optimize=True)  # a third of the size, and hardly a difference


if __name__ == "__main__":
    main()
