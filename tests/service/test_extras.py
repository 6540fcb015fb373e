"""Jobs that ask for their true size, for the subject alone, for a mesh and for a turntable: over HTTP, to the files."""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pycolmap
import pytest
import trimesh
from PIL import Image

from tasks.gaussians.ply import read_ply
from tasks.geometry.similarity import align_points
from tests.service.conftest import Submit
from tests.service.watched import Watched
from tests.support.group import Group
from tests.support.tagged import Film, Renderer, Scene, floor_tag, lens, table, walk, wall_tag

TAG_M = 0.09
VIEWS = 20


def downloaded(job: Watched, kind: str) -> bytes:
    with httpx.Client(trust_env=False, follow_redirects=True, timeout=60) as curl:
        key = {"Authorization": f"Api-Key {job.api.key}"}
        answer = curl.get(f"{job.api.url}/api/v1/jobs/{job.id}/download/{kind}/", headers=key)
    answer.raise_for_status()
    return answer.content


def photos(poses: list[np.ndarray]) -> bytes:
    """A zip of photos of a made room with two tags."""
    tags = [floor_tag(0, -0.25, -0.1, TAG_M, turn_deg=30), wall_tag(1, 0.1, 0.15, TAG_M)]
    render, rng = Renderer(Scene(quads=table(3, boxes=True), tags=tags), lens()), np.random.default_rng(3)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as bundle:
        for number, pose in enumerate(poses, 1):
            photo = io.BytesIO()
            Image.fromarray(render(pose, Film(), rng)).convert("RGB").save(photo, "JPEG", quality=95)
            bundle.writestr(f"{number:05d}.jpg", photo.getvalue())
    return packed.getvalue()


def test_a_made_room_comes_out_in_metres_with_its_mesh(group: Group, submit: Submit, tmp_path: Path) -> None:
    """Everything in the result agrees with what is known of the room."""
    poses = walk(VIEWS, np.random.default_rng(3), degrees=100)
    video = {"seconds": 1.0, "side_px": 160, "path": "auto"}
    options: dict[str, Any] = {"apriltag_size_mm": 1000 * TAG_M, "mesh": True, "training_num_steps": 300}
    options["turntable"] = {"seconds": 1, "side_px": 160}
    job = submit(group, data=photos(poses), extension="zip", **options)
    detail = job.ended()
    assert detail["status"] == "Finished", detail
    scale = detail["scale"]
    assert (scale["status"], detail["mesh"], detail["turntable"]) == ("scaled", True, video)
    assert {tag["id"] for tag in scale["tags"] if tag["used"]} == {0, 1}
    low, high = scale["interval_95"]
    assert low < scale["metres_per_unit"] < high

    with zipfile.ZipFile(io.BytesIO(downloaded(job, "colmap"))) as bundle:
        bundle.extractall(tmp_path)
    assert unit_of(tmp_path, poses) == pytest.approx(1.0, abs=0.005), "the files are in metres"

    (tmp_path / "scene.ply").write_bytes(downloaded(job, "ply"))
    (tmp_path / "mesh.glb").write_bytes(downloaded(job, "glb"))
    mesh: Any = trimesh.load(tmp_path / "mesh.glb", force="mesh")
    report = json.loads(downloaded(job, "report"))
    assert (report["scene"]["unit"], report["mesh"]["unit"]) == ("metre", "m")
    # The room is 2.4 m wide; the walls and the floor are seen. The mesh lies in the splats' box, turned to Y up.
    splats = np.percentile(read_ply(tmp_path / "scene.ply").means, [1, 99], axis=0)
    low_corner, high_corner = mesh.bounds * [1, -1, -1]
    assert (np.minimum(low_corner, high_corner) > splats[0] - 1.0).all()
    assert (np.maximum(low_corner, high_corner) < splats[1] + 1.0).all()
    assert 0.5 < np.ptp(mesh.bounds, axis=0).max() < 4

    with av.open(io.BytesIO(downloaded(job, "mp4"))) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert (len(frames), max(frames[0].shape)) == (30, 160)
    poster = np.asarray(Image.open(io.BytesIO(downloaded(job, "poster"))))
    assert np.abs(poster.astype(int) - frames[0]).mean() < 6


@pytest.mark.shared
@pytest.mark.campaign
def test_stone_sign_with_everything(
    tmp_path_factory: pytest.TempPathFactory, submit: Submit, shared_data: Path, tmp_path: Path
) -> None:
    """A real clip without tags: the subject alone, a mesh, and a warning about the size."""
    environment = {"REMBG_HOME": str(shared_data / "u2netp")}
    group = Group(data=tmp_path_factory.mktemp("extras") / "group", environment=environment)
    group.start()
    try:
        options: dict[str, Any] = {"apriltag_size_mm": 95.6, "remove_background": True, "mesh": True}
        video = (shared_data / "stone_sign" / "video.mp4").read_bytes()
        job = submit(group, data=video, training_num_steps=1000, training_max_num_gaussians=30_000, **options)
        detail = job.ended(seconds=850)
        assert statuses(job) == ["Processing video", "Generating 3D scene", "Finished"], detail
        assert detail["scale"]["status"] == "no_tags"
        assert any("not to scale" in warning["message"] for warning in detail["warnings"])
        assert detail["quality"]["subject_psnr_db"] > 18
        assert set(detail["quality"]["step_seconds"]) == {"extract", "mask", "sfm", "scale", "train", "mesh", "export"}
        report = json.loads(downloaded(job, "report"))
        assert report["evaluation"]["masked"]["volume_inside"] >= 0.95
        frames = report["sfm"]["frames_given"]
        added = report["stages"]["mask"]["seconds"] + report["stages"]["scale"]["seconds"]
        print(f"masks and tags: {added / frames:.2f} s a frame; {json.dumps(detail['quality'])}")
        with zipfile.ZipFile(io.BytesIO(downloaded(job, "colmap"))) as bundle:
            kinds = {name.split("/")[0] for name in bundle.namelist()}
        assert kinds == {"images", "masks", "colmap"}
        (tmp_path / "mesh.glb").write_bytes(downloaded(job, "glb"))
        assert len(trimesh.load(tmp_path / "mesh.glb", force="mesh").faces) > 1000
        if keep := os.environ.get("SPLATFLOW_KEEP_REPORT"):
            Path(keep).write_bytes(downloaded(job, "report_html"))
    finally:
        group.stop()


def statuses(job: Watched) -> list[str]:
    """The statuses seen while it ran, in order, each once, places in the queue left out."""
    seen = [status for status, _ in job.seen if not status.startswith("Queued")]
    return list(dict.fromkeys(seen))


def unit_of(posed: Path, poses: list[np.ndarray]) -> float:
    """Metres per unit of a model whose images, by name, were taken from these true poses (3, 4)."""
    model = pycolmap.Reconstruction(str(posed / "colmap"))
    images = sorted(model.images.values(), key=lambda image: image.name)
    assert len(images) == len(poses)
    found = np.array([image.projection_center() for image in images])
    return align_points(found, np.array([-pose[:, :3].T @ pose[:, 3] for pose in poses])).scale
