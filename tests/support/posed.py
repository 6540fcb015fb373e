"""A posed folder (`images/` and `colmap/`) of the demo scene, whose splats and cameras are known."""

from pathlib import Path

import cv2
import numpy as np
import pycolmap

from cli.demo import SH_C0, demo_cameras, demo_scene, render


def write_posed(
    folder: Path, *, views: int = 12, width: int = 96, height: int = 54, points: int = 600, coarseness: float = 3.0
) -> Path:
    """Write the folder and return it: PNG-exact pictures, true poses, and a part of the true means as points."""
    scene, cameras = demo_scene(coarseness=coarseness), demo_cameras(views, width=width, height=height)
    images = folder / "images"
    images.mkdir(parents=True)
    model = pycolmap.Reconstruction()
    K = cameras.Ks[0]
    model.add_camera_with_trivial_rig(
        pycolmap.Camera(
            model="PINHOLE", width=width, height=height, params=[K[0, 0], K[1, 1], K[0, 2], K[1, 2]], camera_id=1
        )
    )
    for index in range(views):
        name = f"frame_{index:06d}.png"
        cv2.imwrite(str(images / name), cv2.cvtColor(render(scene, cameras, index), cv2.COLOR_RGB2BGR))
        image = pycolmap.Image(name=name, camera_id=1, image_id=index + 1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(cameras.viewmats[index, :3].astype(np.float64)))
    chosen = np.random.default_rng(0).choice(len(scene), min(points, len(scene)), replace=False)
    for i in chosen:
        color = np.clip(scene.sh_coeffs[i, 0] * SH_C0 + 0.5, 0, 1) * 255
        model.add_point3D(scene.means[i].astype(np.float64), pycolmap.Track(), color.astype(np.uint8))
    colmap = folder / "colmap"
    colmap.mkdir()
    model.write(str(colmap))
    return folder
