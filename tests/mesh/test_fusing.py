"""Region, consistency, carving and cleaning on depth maps that are made, not rendered."""

import numpy as np
import pytest

from tasks.mesh.clean import clean
from tasks.mesh.color import vertex_colors
from tasks.mesh.consistency import agreement, consistent, neighbours
from tasks.mesh.depth import DepthMap, facing
from tasks.mesh.fuse import fuse, plan_blocks
from tasks.mesh.raycast import Raycaster
from tasks.mesh.region import find_region, usual_depths
from tasks.mesh.require import open3d
from tasks.mesh.views import MeshView, evenly
from tasks.mesh.write import linear_light
from tests.mesh.scenes import around, truth

WIDTH, HEIGHT, FOCAL_PX = 160, 140, 170.0


def silent(done: int, total: int) -> None:
    """Progress that nobody looks at."""


@pytest.fixture(scope="module")
def views() -> list[MeshView]:
    """Cameras all around the bumpy ball."""
    K = np.array([[FOCAL_PX, 0, WIDTH / 2], [0, FOCAL_PX, HEIGHT / 2], [0, 0, 1]], np.float32)
    found = []
    for index, pose in enumerate(around(30)):
        viewmat = np.eye(4, dtype=np.float32)
        viewmat[:3] = pose
        found.append(
            MeshView(name=f"{index:03d}.jpg", viewmat=viewmat, K=K, width=WIDTH, height=HEIGHT, mask_path=None)
        )
    return found


def as_map(depth: np.ndarray, view: MeshView) -> DepthMap:
    """A depth map as the renderer makes it."""
    cosine = facing(depth, view.K)
    kept = np.where(cosine > 0.17, depth, 0).astype(np.float32)
    return DepthMap(depth=kept, weight=np.where(kept > 0, cosine, 0), rgb=np.full((*depth.shape, 3), 200, np.uint8))


@pytest.fixture(scope="module")
def maps(views: list[MeshView]) -> list[DepthMap]:
    """True depth of the ball."""
    caster = Raycaster(truth(columns=300, rows=150))
    return [as_map(caster.cast(view)[0], view) for view in views]


def test_region_is_what_is_looked_at(views: list[MeshView], maps: list[DepthMap]) -> None:
    behind = [
        as_map(np.where(item.depth > 0, item.depth, 30.0).astype(np.float32), view)
        for view, item in zip(views, maps, strict=True)
    ]
    region = find_region(views, behind, masked=False)
    assert region is not None
    assert (np.abs(region.low) < 1.4).all()
    assert (np.abs(region.high) < 1.4).all()
    assert region.finest == pytest.approx(np.median(usual_depths(maps)) / FOCAL_PX, rel=1e-3)
    assert find_region(views, [as_map(np.zeros((HEIGHT, WIDTH), np.float32), v) for v in views], masked=False) is None


def test_neighbours_see_the_same_from_elsewhere(views: list[MeshView], maps: list[DepthMap]) -> None:
    for index, near in enumerate(neighbours(views, usual_depths(maps))):
        assert index not in near
        assert 1 <= len(near) <= 4
        for other in near:
            assert views[index].axis @ views[other].axis > np.cos(np.radians(80))


def test_what_neighbours_contradict_goes(views: list[MeshView], maps: list[DepthMap]) -> None:
    """A patch that floats before the surface in one view only."""
    wrong = list(maps)
    depth = maps[12].depth.copy()
    depth[50:70, 60:90] = 1.9
    wrong[12] = as_map(depth, views[12])
    assert (wrong[12].depth[55:65, 65:85] == np.float32(1.9)).all()
    near = neighbours(views, usual_depths(maps))
    kept = consistent(views, wrong, near, silent)
    assert not (kept[12].depth[50:70, 60:90] == np.float32(1.9)).any()
    before, after = (sum((m.depth > 0).sum() for m in group) for group in (maps, consistent(views, maps, near, silent)))
    assert after > 0.93 * before


def test_agreement_counts_what_both_show() -> None:
    b = np.full((10, 10), 2.0, np.float32)
    a = np.full((10, 10), 2.02, np.float32)
    a[:5] = 0  # unknown
    a[9] = 4.0  # another surface
    found = agreement([(a, b)])
    assert found.median == pytest.approx(0.01, rel=1e-4)
    assert found.coverage == 0.5
    assert agreement([]).views == 0


def test_true_depth_gives_the_true_surface(views: list[MeshView], maps: list[DepthMap]) -> None:
    region = find_region(views, maps, masked=True)
    assert region is not None
    voxel, blocks = plan_blocks(views, maps, region, voxels_along_side=120, max_grid_mb=500)
    raw = fuse(views, maps, region, voxel, blocks, silent)
    surface, dropped = clean(raw, max_faces=20_000, min_component_part=0.02)
    off = Raycaster(truth()).distances(surface.vertices)
    assert np.percentile(off, 95) < 0.25 * voxel
    assert len(surface.faces) <= 20_000
    assert dropped >= 0
    colors = vertex_colors(surface.vertices, views, maps, voxel)
    np.testing.assert_allclose(colors, 200 / 255, atol=1e-6)


def test_what_others_look_through_is_taken_back(views: list[MeshView], maps: list[DepthMap]) -> None:
    """A floater in two views, which the other 28 look through, also without the comparison of views."""
    caster = Raycaster(truth(columns=300, rows=150))
    wall = [as_map(np.where(m.depth > 0, m.depth, 8.0).astype(np.float32), v) for v, m in zip(views, maps, strict=True)]
    small = truth(columns=40, rows=20)
    offset = np.array([0.0, 0.0, 1.9], np.float32)
    floating = Raycaster(type(small)(**{**vars(small), "vertices": small.vertices * np.float32(0.12) + offset}))
    seen = [int(i) for i in np.argsort([-(v.centre[2]) for v in views])[:2]]
    for index in seen:
        near, far = floating.cast(views[index])[0], caster.cast(views[index])[0]
        depth = np.where(near > 0, near, np.where(far > 0, far, 8.0)).astype(np.float32)
        wall[index] = as_map(depth, views[index])
    region = find_region(views, wall, masked=True)
    assert region is not None
    low, high = np.full(3, -2.2), np.full(3, 2.2)
    region = type(region)(low=low, high=high, far=np.full(len(views), 6.0), finest=0.0)
    voxel, blocks = plan_blocks(views, wall, region, voxels_along_side=160, max_grid_mb=500)
    raw = fuse(views, wall, region, voxel, blocks, silent)
    vertices = np.asarray(raw.vertices)
    assert (np.linalg.norm(vertices, axis=1) < 1.3).any()
    assert (np.linalg.norm(vertices - offset, axis=1) < 0.2).sum() < 0.002 * len(vertices)


def test_voxels_grow_until_they_fit(views: list[MeshView], maps: list[DepthMap]) -> None:
    region = find_region(views, maps, masked=True)
    assert region is not None
    voxel, blocks = plan_blocks(views, maps, region, voxels_along_side=120, max_grid_mb=500)
    coarse, fewer = plan_blocks(views, maps, region, voxels_along_side=120, max_grid_mb=4)
    assert coarse > voxel
    assert len(fewer) * 512 * 8 <= 4_000_000 < len(blocks) * 512 * 8
    assert plan_blocks(views, maps, region, voxels_along_side=100_000, max_grid_mb=64_000)[0] == region.finest


def test_cleaning_keeps_a_sound_mesh() -> None:
    o3d = open3d()
    big = o3d.geometry.TriangleMesh.create_sphere(1.0, 40)
    raw = big + o3d.geometry.TriangleMesh.create_sphere(0.05, 10).translate((3, 0, 0))
    points = np.asarray(raw.vertices)
    raw.vertices = o3d.utility.Vector3dVector(np.concatenate([points, points[:1], [[9, 9, 9]]]))
    faces = np.asarray(raw.triangles)
    raw.triangles = o3d.utility.Vector3iVector(np.concatenate([faces, [[0, len(points), 1], [5, 5, 6]]]))
    surface, dropped = clean(raw, max_faces=1_000, min_component_part=0.02)
    assert dropped == 1
    assert 900 <= len(surface.faces) <= 1_000
    assert np.abs(surface.vertices).max() < 1.1
    assert set(np.unique(surface.faces)) == set(range(len(surface.vertices)))
    a, b, c = np.moveaxis(surface.vertices[surface.faces], 1, 0)
    assert (np.linalg.norm(np.cross(b - a, c - a), axis=1) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(surface.normals, axis=1), 1, atol=1e-6)


def test_linear_light_is_srgb_undone() -> None:
    srgb = np.linspace(0, 1, 256, dtype=np.float32)
    linear = linear_light(srgb)
    back = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(back, srgb, atol=1e-6)
    assert (np.diff((linear * 65535).round()) > 0).all()  # 16 bits keep every one of the 8-bit steps apart


def test_an_even_choice_of_views(views: list[MeshView]) -> None:
    assert evenly(views, 100) == views
    chosen = [views.index(view) for view in evenly(views, 7)]
    assert len(chosen) == 7
    assert chosen[0] == 0
    assert chosen[-1] == len(views) - 1
    assert max(np.diff(chosen)) - min(np.diff(chosen)) <= 1
