"""A mesh seen by a camera, by casting rays: no display, no graphics card."""

import numpy as np
from numpy.typing import NDArray

from tasks.mesh.clean import Mesh
from tasks.mesh.require import open3d
from tasks.mesh.views import MeshView


class Raycaster:
    """Depth, faces and places hit, of one mesh seen from any camera."""

    def __init__(self, mesh: Mesh) -> None:
        self._o3d = o3d = open3d()
        self._scene = o3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            o3d.core.Tensor(np.ascontiguousarray(mesh.vertices, np.float32)),
            o3d.core.Tensor(np.ascontiguousarray(mesh.faces).astype(np.uint32)),
        )

    def cast(self, view: MeshView) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        """Of each pixel: depth z (H, W), 0 where the ray hits nothing; the face hit (H, W), -1; its coordinates (H, W, 2) there."""
        pose = view.viewmat.astype(np.float64)
        x = (np.arange(view.width) + 0.5 - view.K[0, 2]) / view.K[0, 0]
        y = (np.arange(view.height) + 0.5 - view.K[1, 2]) / view.K[1, 1]
        directions = np.stack([*np.meshgrid(x, y), np.ones((view.height, view.width))], -1) @ pose[:3, :3]
        rays = np.concatenate([np.broadcast_to(view.centre, directions.shape), directions], -1).astype(np.float32)
        hit = self._scene.cast_rays(self._o3d.core.Tensor(rays))
        depth = hit["t_hit"].numpy()  # directions have z = 1 in the camera, so this is depth
        missed = ~np.isfinite(depth)
        faces = hit["primitive_ids"].numpy().astype(np.int64)
        return np.where(missed, 0, depth).astype(np.float32), np.where(missed, -1, faces), hit["primitive_uvs"].numpy()

    def distances(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N,) distance of points (N, 3) from the surface."""
        return self._scene.compute_distance(self._o3d.core.Tensor(np.ascontiguousarray(points, np.float32))).numpy()
