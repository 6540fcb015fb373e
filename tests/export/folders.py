"""Small folders as the train and SfM steps leave them, made without either."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycolmap

from tasks.gaussians.ply import write_ply
from tests.gaussians.scenes import made


def posed_folder(
    folder: Path, names: list[str], *, width: int = 64, height: int = 48, points: int = 60, sfm: bool = True
) -> Path:
    """`images/` and `colmap/` of cameras on an arc about the origin, and sfm.json unless they are the client's own."""
    (folder / "images").mkdir(parents=True)
    (folder / "colmap").mkdir()
    rng = np.random.default_rng(0)
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera(
        model="PINHOLE",
        width=width,
        height=height,
        params=[float(width), float(width), width / 2, height / 2],
        camera_id=1,
    )
    model.add_camera_with_trivial_rig(camera)
    cloud = rng.uniform(-0.5, 0.5, (points, 3))
    for number, name in enumerate(names):
        angle = np.radians(-40 + 80 * number / max(1, len(names) - 1))
        eye = np.array([3 * np.sin(angle), -0.5, -3 * np.cos(angle)])
        forward = -eye / np.linalg.norm(eye)
        right = np.cross(forward, [0, -1.0, 0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        pose = pycolmap.Rigid3d(pycolmap.Rotation3d(rotation), -rotation @ eye)
        seen = cloud @ rotation.T - rotation @ eye
        xy = seen[:, :2] / seen[:, 2:] * width + [width / 2, height / 2]
        image = pycolmap.Image(name=name, keypoints=xy, camera_id=1, image_id=number + 1)
        model.add_image_with_trivial_frame(image, pose)
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = cv2.resize(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), (width, height))
        cv2.imwrite(str(path), picture)
    for index, xyz in enumerate(cloud):
        track = pycolmap.Track()
        for number in range(len(names)):
            track.add_element(number + 1, index)
        model.add_point3D(xyz, track, rng.integers(0, 255, 3).astype(np.uint8))
    model.update_point_3d_errors()
    model.write(folder / "colmap")
    if sfm:
        record = {
            "frames_given": len(names) + 1,
            "frames_registered": len(names),
            "points": points,
            "reprojection_error_px": 0.42,
            "method": "glomap",
            "attempts": [{"rung": "as asked", "method": "glomap", "registered": len(names), "error_px": None}],
            "warnings": ["One frame has no pose."],
            "focal_px": float(width),
            "width": width,
            "height": height,
            "frames": [{"name": n, "registered": True} for n in names] + [{"name": "lost.jpg", "registered": False}],
            "world_from_sfm": np.eye(4).tolist(),
        }
        (folder / "sfm.json").write_text(json.dumps(record))
    return folder


def trained_folder(folder: Path, posed: Path, held_out: list[str], *, gaussians: int = 50) -> Path:
    """scene.ply, renders/, preview.png, camera.json and train.json; the renders are the photos, a little off."""
    (folder / "renders").mkdir(parents=True)
    write_ply(folder / "scene.ply", made(gaussians, 1, seed=0))
    for name in held_out:
        photo = cv2.imread(str(posed / "images" / name))
        assert photo is not None
        path = (folder / "renders" / name).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        size = photo.shape[1], photo.shape[0]
        if max(size) > 1600:
            size = tuple(round(s * 1600 / max(size)) for s in size)
            photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(path), np.clip(photo.astype(int) + 9, 0, 255).astype(np.uint8))
    cv2.imwrite(str(folder / "preview.png"), np.full((48, 64, 3), 90, np.uint8))
    camera = {"position": {"x": 0.0, "y": 0.5, "z": 3.0}, "lookAt": {"x": 0.0, "y": 0.0, "z": 0.0}}
    (folder / "camera.json").write_text(json.dumps({**camera, "up": {"x": 0.0, "y": 1.0, "z": 0.0}}))
    (folder / "train.json").write_text(json.dumps(train_record(held_out, gaussians)))
    return folder


def train_record(held_out: list[str], gaussians: int = 50) -> dict[str, Any]:
    """train.json."""
    return {
        "steps": 300,
        "num_gaussians": gaussians,
        "device": "cpu (portable)",
        "seconds": 12.5,
        "seconds_per_step": 0.04,
        "evaluation": {
            "held_out": held_out,
            "psnr_db": 28.9,
            "ssim": 0.91,
            "width": 64,
            "height": 48,
            "views": [{"name": n, "psnr_db": 28.0 + i, "ssim": 0.9} for i, n in enumerate(held_out)],
        },
        "history": [{"step": s, "num_gaussians": 10 + s, "loss": 1 / s, "seconds": s / 10} for s in range(50, 301, 50)],
        "warnings": ["Only a few views to train on."],
        "options": {"antialiased": False},
        "sh_degree": 1,
    }


def extract_record(names: list[str]) -> dict[str, Any]:
    """extract.json."""
    frames = [
        {
            "name": name,
            "index": 2 * i,
            "time_s": i / 10,
            "blur": 0.2 + 0.01 * (i % 5),
            "motion_since_kept": 0.02 * (i > 0),
            "why": "sharpest of 2",
        }
        for i, name in enumerate([*names, "lost.jpg"])
    ]
    return {
        "kind": "video",
        "ordered": True,
        "frames_seen": 2 * len(frames),
        "frames_kept": len(frames),
        "fps": 20.0,
        "duration_s": len(frames) / 10,
        "width": 64,
        "height": 48,
        "frames": frames,
        "warnings": ["The clip is short."],
    }
