"""The mesh step on scenes whose surface is known."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import trimesh

from tasks.errors import BadOption, BadPosedInput, BadScene, OutputUnwritable
from tasks.gaussians.frames import FLIP
from tasks.mesh.clean import Mesh
from tasks.mesh.options import MeshOptions, MeshRecord
from tasks.mesh.raycast import Raycaster
from tasks.mesh.step import mesh
from tests.mesh.scenes import (
    SIZE,
    Folders,
    around,
    ball_cover,
    gaussians,
    small_ball_cover,
    truth,
    wall_cover,
    write_folders,
    write_masks,
)

OPTIONS = MeshOptions(max_faces=30_000, voxels_along_side=160, device="cpu", threads=2)


def silent(done: int, total: int, message: str) -> None:
    """Progress that nobody looks at."""


def read(path: Path) -> Mesh:
    """The GLB back in the frame of the scene; colours as they are stored, in linear light."""
    (body,) = trimesh.load_scene(path, process=False).geometry.values()
    colors = np.asarray(body.visual.vertex_attributes["color"], np.float32)[:, :3] / 65535
    return Mesh(
        vertices=(np.asarray(body.vertices) * FLIP).astype(np.float32),
        faces=np.asarray(body.faces, np.int32),
        normals=(np.asarray(body.vertex_normals) * FLIP).astype(np.float32),
        colors=colors,
    )


@pytest.fixture(scope="module")
def ball(tmp_path_factory: pytest.TempPathFactory) -> tuple[Folders, Path, MeshRecord]:
    """The bumpy ball with a little ball beside it and a far wall behind: folders, the step's output, its record."""
    folder = tmp_path_factory.mktemp("ball")
    folders = write_folders(folder, gaussians(ball_cover(), small_ball_cover(), wall_cover()), around())
    out = folder / "mesh"
    return folders, out, mesh(folders.trained, folders.posed, out, OPTIONS, silent)


def test_lies_on_the_true_surface(ball: tuple[Folders, Path, MeshRecord]) -> None:
    found = read(ball[1] / "mesh.glb")
    off = Raycaster(truth()).distances(found.vertices) / SIZE
    print(f"mean {off.mean():.5f}, 95 % {np.percentile(off, 95):.5f}, worst {off.max():.4f} of the size")
    assert off.mean() < 0.002
    assert np.percentile(off, 95) < 0.01
    assert off.max() < 0.03


def test_covers_the_true_surface(ball: tuple[Folders, Path, MeshRecord]) -> None:
    """No holes: the truth lies near the mesh too."""
    off = (
        Raycaster(read(ball[1] / "mesh.glb")).distances(truth(columns=200, rows=100).vertices)[1000:-1000] / SIZE
    )  # not the poles, where rows crowd
    assert np.percentile(off, 99) < 0.01


def test_normals_point_outwards(ball: tuple[Folders, Path, MeshRecord]) -> None:
    found = read(ball[1] / "mesh.glb")
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=1), 1, atol=1e-5)
    assert ((found.normals * found.vertices).sum(1) > 0).mean() > 0.99
    a, b, c = np.moveaxis(found.vertices[found.faces], 1, 0)
    assert ((np.cross(b - a, c - a) * a).sum(1) > 0).mean() > 0.99


def test_leaves_out_far_background_and_small_pieces(ball: tuple[Folders, Path, MeshRecord]) -> None:
    found, record = read(ball[1] / "mesh.glb"), ball[2]
    assert np.abs(found.vertices).max() < 0.6 * SIZE
    assert record.components_dropped >= 1
    assert (np.linalg.norm(found.vertices - [0.95, -0.9, 0.95], axis=1) > 0.2).all()


def test_colours_are_those_of_the_surface_in_linear_light(ball: tuple[Folders, Path, MeshRecord]) -> None:
    found, splats = read(ball[1] / "mesh.glb"), ball_cover()
    # sRGB of the nearest splat; at the patches' edges they are mixed, so most must fit, not all
    nearest = np.argmin(np.linalg.norm(found.vertices[:500, None] - splats.means[None], axis=2), axis=1)
    expected = splats.albedo[nearest]
    linear = np.where(expected <= 0.04045, expected / 12.92, ((expected + 0.055) / 1.055) ** 2.4)
    assert (np.abs(found.colors[:500] - linear).max(1) < 0.05).mean() > 0.85


def test_record_and_json_say_the_same(ball: tuple[Folders, Path, MeshRecord]) -> None:
    _, out, record = ball
    told = json.loads((out / "mesh.json").read_text())
    found = read(out / "mesh.glb")
    assert {k: told[k] for k in asdict(record)} == json.loads(json.dumps(asdict(record)))
    assert (record.vertices, record.faces) == (len(found.vertices), len(found.faces))
    assert record.faces <= OPTIONS.max_faces
    assert record.bytes == (out / "mesh.glb").stat().st_size
    assert record.unit == "scene"
    assert told["metres_per_unit"] is None
    assert max(record.extent) == pytest.approx(SIZE, rel=0.03)
    assert sorted(p.name for p in out.iterdir()) == ["mesh.glb", "mesh.json"]
    assert [p.name for p in out.parent.iterdir() if p.name.startswith(".")] == []


def test_states_how_far_views_agree(ball: tuple[Folders, Path, MeshRecord]) -> None:
    record = ball[2]
    assert record.between_views.median < 0.005
    assert record.held_out is not None
    assert record.held_out.median < 0.005
    assert record.held_out.p95 < 0.03
    assert record.held_out.coverage > 0.9
    assert record.warnings == ()


def test_file_says_its_unit_and_frame(ball: tuple[Folders, Path, MeshRecord]) -> None:
    data = (ball[1] / "mesh.glb").read_bytes()
    tree = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    assert tree["asset"]["extras"]["unit"] == "scene"
    assert "y up" in tree["asset"]["extras"]["frame"]
    assert tree["extensionsUsed"] == ["KHR_materials_unlit"]


def test_metres_and_unit_change_nothing_but_the_size(tmp_path: Path) -> None:
    """The same ball in a unit 0.3 as large, made metric again, is the same mesh."""
    cameras, coarse = around(20), ball_cover(0.06)
    plain = write_folders(tmp_path / "plain", gaussians(coarse), cameras)
    scaled = write_folders(tmp_path / "scaled", gaussians(coarse), cameras, unit=0.3)
    options = MeshOptions(max_faces=4_000, voxels_along_side=64, render_side_px=112, threads=2)
    a = mesh(plain.trained, plain.posed, tmp_path / "a", options, silent)
    b = mesh(scaled.trained, scaled.posed, tmp_path / "b", options, silent, metres_per_unit=1 / 0.3)
    assert b.unit == "m"
    assert b.faces <= 4_000
    assert b.voxel_size == pytest.approx(a.voxel_size, rel=0.01)
    np.testing.assert_allclose(b.extent, a.extent, rtol=0.01)
    off = Raycaster(read(tmp_path / "a/mesh.glb")).distances(read(tmp_path / "b/mesh.glb").vertices) / SIZE
    assert np.percentile(off, 95) < 0.004
    data = (tmp_path / "b/mesh.glb").read_bytes()
    assert b'"unit":"m"' in data


SMALL = MeshOptions(max_faces=4_000, voxels_along_side=64, render_side_px=112, threads=2)


@pytest.mark.parametrize("agreed", [False, True])
def test_masks_leave_the_subject_alone(tmp_path: Path, agreed: bool) -> None:
    """Those of the views, or, going before them, those that training made agree."""
    folders = write_folders(tmp_path, gaussians(ball_cover(0.06), wall_cover()), around(20))
    write_masks(folders.posed, lambda points: points[:, 1] < 0.0)  # the upper half alone
    if agreed:
        (folders.posed / "masks").rename(folders.trained / "masks")
        write_masks(folders.posed, None)
    record = mesh(folders.trained, folders.posed, tmp_path / "mesh", SMALL, silent)
    found = read(tmp_path / "mesh/mesh.glb")
    assert record.masked
    assert found.vertices[:, 1].max() < 0.06
    assert found.vertices[:, 1].min() < -1.0
    assert np.percentile(Raycaster(truth()).distances(found.vertices) / SIZE, 95) < 0.01


def assert_none_made(record: MeshRecord, out: Path, why: str) -> None:
    """The scene isn't lost for want of a mesh: a warning says why there is none."""
    assert (record.faces, record.vertices, record.bytes) == (0, 0, 0)
    (warning,) = record.warnings
    assert why in warning
    assert [path.name for path in out.iterdir()] == ["mesh.json"]
    assert json.loads((out / "mesh.json").read_text())["warnings"] == [warning]


def test_empty_masks_are_told(tmp_path: Path) -> None:
    cameras = around(8)
    folders = write_folders(tmp_path, gaussians(ball_cover(0.1)), cameras)
    write_masks(folders.posed, None)
    record = mesh(folders.trained, folders.posed, tmp_path / "mesh", SMALL, silent)
    assert_none_made(record, tmp_path / "mesh", "remove-background")


def test_a_missing_mask_is_told(tmp_path: Path) -> None:
    cameras = around(8)
    folders = write_folders(tmp_path, gaussians(ball_cover(0.1)), cameras)
    write_masks(folders.posed, lambda points: points[:, 1] < 9)
    (folders.posed / "masks" / "000003.png").unlink()
    with pytest.raises(BadPosedInput, match="000003"):
        mesh(folders.trained, folders.posed, tmp_path / "mesh", SMALL, silent)


def test_cameras_that_see_nothing_are_told(tmp_path: Path) -> None:
    folders = write_folders(tmp_path, gaussians(ball_cover(0.1)), around(8, target=(50, 0, 0)))
    record = mesh(folders.trained, folders.posed, tmp_path / "mesh", SMALL, silent)
    assert_none_made(record, tmp_path / "mesh", "no surface")


def test_two_views_are_too_few(tmp_path: Path) -> None:
    folders = write_folders(tmp_path, gaussians(ball_cover(0.2)), around(2))
    with pytest.raises(BadPosedInput, match="at least 3"):
        mesh(folders.trained, folders.posed, tmp_path / "mesh", SMALL, silent)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_factors_are_refused(tmp_path: Path, factor: float) -> None:
    with pytest.raises(BadOption, match="metres per unit"):
        mesh(tmp_path, tmp_path, tmp_path / "mesh", SMALL, silent, metres_per_unit=factor)


def test_missing_input_is_told(tmp_path: Path) -> None:
    folders = write_folders(tmp_path, gaussians(ball_cover(0.2)), around(8))
    with pytest.raises(BadPosedInput, match="colmap"):
        mesh(folders.trained, tmp_path / "nowhere", tmp_path / "mesh", SMALL, silent)
    with pytest.raises(BadScene, match="no file"):
        mesh(tmp_path / "nowhere", folders.posed, tmp_path / "mesh", SMALL, silent)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/kept.txt").write_text("mine")
    with pytest.raises(OutputUnwritable, match="isn't empty"):
        mesh(folders.trained, folders.posed, tmp_path / "full", SMALL, silent)
    assert (tmp_path / "full/kept.txt").read_text() == "mine"


def test_a_stop_leaves_nothing(tmp_path: Path) -> None:
    folders = write_folders(tmp_path, gaussians(ball_cover(0.2)), around(8))
    before = sorted(tmp_path.rglob("*"))

    def stop(done: int, total: int, message: str) -> None:
        if done > total // 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mesh(folders.trained, folders.posed, tmp_path / "mesh", SMALL, stop)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "wrong",
    [{"max_faces": 10}, {"voxels_along_side": 1}, {"min_component_part": 1.5}, {"min_component_part": float("nan")},
     {"threads": 0}, {"device": "tpu"}, {"max_views": 1}, {"max_grid_mb": 0}],
)  # fmt: skip
def test_bad_options_are_refused(wrong: dict) -> None:
    with pytest.raises(BadOption):
        MeshOptions(**wrong)
