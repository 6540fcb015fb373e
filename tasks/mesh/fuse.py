"""Depth maps fused into a surface: a truncated signed distance in sparse blocks of voxels.

Curless and Levoy, "A volumetric method for building complex models from range images", SIGGRAPH 1996, in Open3D's
`t.geometry.VoxelBlockGrid` (Dong et al., "ASH", 2022), which keeps the blocks and extracts the mesh. The integration is ours:
Open3D's own gives every pixel the same weight and never takes back what a view looks through.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter

from tasks.mesh.depth import DepthMap, points_in_camera
from tasks.mesh.region import Region
from tasks.mesh.require import open3d
from tasks.mesh.views import MeshView

BLOCK = 8  # voxels along a block's side
TRUNCATION = 5.0  # voxels to each side of the surface
BYTES_PER_VOXEL = 4 * (1 + 1)  # distance and weight
COARSER = 1.2  # what voxels grow by when the grid doesn't fit
REACHES_PX = (2, 4, 6, 8, 12, 16, 24, 32)  # of windows over a depth map
MIN_WEIGHT = 0.4  # one view that sees the surface squarely, or a few that see it at an angle
CARVE_WEIGHT = 0.25  # of a view that looks through a whole block
BLOCKS_AT_ONCE = 1024  # bounds the memory, and stays in the cache
KEY_OFFSET, KEY_BITS = 1 << 20, 21


def plan_blocks(
    views: Sequence[MeshView], maps: Sequence[DepthMap], region: Region, *, voxels_along_side: int, max_grid_mb: int
) -> tuple[float, NDArray[np.int32]]:
    """Voxel size and the blocks (B, 3) around all depths in the region, as many as `max_grid_mb` can hold."""
    voxel = max(region.long_side / voxels_along_side, region.finest)
    while True:
        blocks = _blocks_around(views, maps, region, voxel)
        if len(blocks) * BLOCK**3 * BYTES_PER_VOXEL <= max_grid_mb * 1_000_000:
            return voxel, blocks
        voxel *= COARSER


def fuse(
    views: Sequence[MeshView],
    maps: Sequence[DepthMap],
    region: Region,
    voxel: float,
    blocks: NDArray[np.int32],
    progress: Callable[[int, int], None],
) -> Any:
    """The surface as a legacy Open3D triangle mesh, perhaps empty, in the world frame."""
    o3d = open3d()
    grid = o3d.t.geometry.VoxelBlockGrid(
        attr_names=("tsdf", "weight"),
        attr_dtypes=(o3d.core.float32,) * 2,
        attr_channels=((1,), (1,)),
        voxel_size=voxel,
        block_resolution=BLOCK,
        block_count=len(blocks),
    )
    slots = grid.hashmap().activate(o3d.core.Tensor(blocks))[0].numpy().astype(np.intp)
    store = {name: grid.attribute(name).numpy().reshape(-1, BLOCK**3) for name in ("tsdf", "weight")}
    _, indices = grid.voxel_coordinates_and_flattened_indices(o3d.core.Tensor(slots[:1].astype(np.int32)))
    local = indices.numpy().ravel() - slots[0] * BLOCK**3
    coordinates, _ = grid.voxel_coordinates_and_flattened_indices(o3d.core.Tensor(slots[:1].astype(np.int32)))
    offsets = np.empty((BLOCK**3, 3), np.float32)  # of each voxel from its block's corner, in the order of storage
    offsets[local] = coordinates.numpy() - blocks[0].astype(np.float32) * np.float32(BLOCK * voxel)
    corners = blocks.astype(np.float32) * np.float32(BLOCK * voxel)
    looked_through = np.zeros(len(blocks), np.float32)
    for number, (view, item, far) in enumerate(zip(views, maps, region.far, strict=True)):
        _integrate(view, item, float(far), corners, offsets, slots, store, looked_through, voxel)
        progress(number + 1, len(views))
    _carve(store, slots, looked_through)
    return grid.extract_triangle_mesh(weight_threshold=MIN_WEIGHT).to_legacy()


def _blocks_around(
    views: Sequence[MeshView], maps: Sequence[DepthMap], region: Region, voxel: float
) -> NDArray[np.int32]:
    """(B, 3) coordinates of all blocks within the truncation of a depth inside the region, along its ray."""
    side = BLOCK * voxel
    steps = np.linspace(-TRUNCATION, TRUNCATION, 2 * int(np.ceil(TRUNCATION / BLOCK)) + 1) * voxel
    keys = [np.zeros(0, np.int64)]
    for view, item, far in zip(views, maps, region.far, strict=True):
        chosen = (item.depth > 0) & (item.depth <= far)
        points = points_in_camera(item.depth, view.K)[chosen].astype(np.float64)
        pose = view.viewmat.astype(np.float64)
        world = (points - pose[:3, 3]) @ pose[:3, :3]
        world = world[((world >= region.low) & (world <= region.high)).all(1)]
        rays = world - view.centre
        rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
        for step in steps:
            cells = np.floor((world + step * rays) / side).astype(np.int64) + KEY_OFFSET
            keys.append(np.unique((cells[:, 0] << 2 * KEY_BITS) | (cells[:, 1] << KEY_BITS) | cells[:, 2]))
    merged = np.unique(np.concatenate(keys))
    low = (1 << KEY_BITS) - 1
    cells = np.stack([merged >> 2 * KEY_BITS, (merged >> KEY_BITS) & low, merged & low], 1) - KEY_OFFSET
    return cells.astype(np.int32)


def _camera_axes(view: MeshView, points: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """x, y and z, each (N,), of points or directions (N, 3) turned as the camera is; without its translation."""
    return [points[:, 0] * r[0] + points[:, 1] * r[1] + points[:, 2] * r[2] for r in view.viewmat[:3, :3]]


def _pixels(
    view: MeshView, x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Flat indices of the pixels that points in the camera fall on, 0 outside, and which of them the picture holds."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse = np.float32(1) / z
        u = x * (inverse * view.K[0, 0]) + view.K[0, 2]
        v = y * (inverse * view.K[1, 1]) + view.K[1, 2]
        held = (z > 1e-6) & (u >= 0) & (v >= 0) & (u < view.width) & (v < view.height)
    columns, rows = np.where(held, u, 0).astype(np.int32), np.where(held, v, 0).astype(np.int32)
    return rows * np.int32(view.width) + columns, held


def _nearest_around(
    depth: NDArray[np.float32], pixels: NDArray[np.int32], reach_px: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(N,) the least depth within `reach_px` of each pixel, or a little farther; 0 where one there is unknown, or the reach too far."""
    found = np.zeros(len(pixels), np.float32)
    smallest = 0.0
    for reach in REACHES_PX:
        chosen = (reach_px > smallest) & (reach_px <= reach)
        if chosen.any():
            found[chosen] = minimum_filter(depth, size=2 * reach + 1, mode="nearest").ravel()[pixels[chosen]]
        smallest = reach
    return found


def _integrate(
    view: MeshView,
    item: DepthMap,
    far: float,
    corners: NDArray[np.float32],
    offsets: NDArray[np.float32],
    slots: NDArray[np.intp],
    store: dict[str, NDArray[np.float32]],
    looked_through: NDArray[np.float32],
    voxel: float,
) -> None:
    """One view into the grid: voxels near its surface one by one, blocks well before it as a whole."""
    truncation = np.float32(TRUNCATION * voxel)
    half = np.float32(BLOCK * voxel / 2)
    radius = half * np.float32(np.sqrt(3))
    depth, weight = item.depth.ravel(), item.weight.ravel()
    begin_x, begin_y, begin_z = (a + t for a, t in zip(_camera_axes(view, corners), view.viewmat[:3, 3], strict=True))
    to_middle = half * view.viewmat[:3, :3].sum(1)
    z = begin_z + to_middle[2]
    pixels, held = _pixels(view, begin_x + to_middle[0], begin_y + to_middle[1], z)
    reach_px = radius * view.K[0, 0] / np.maximum(z, np.float32(1e-6))  # of a block to each side of its middle
    seen = _nearest_around(item.depth, pixels, reach_px)
    margin = z - seen
    through = held & (seen > 0) & (margin < -(truncation + radius))
    looked_through[through] += CARVE_WEIGHT
    # a block is left out only where it is sure that no voxel of it lies before, or near, a depth
    near = (z > -radius) & ~through & (~held | (seen <= 0) | (margin < truncation + radius))
    near &= z < far + truncation + radius
    within = _camera_axes(view, offsets)
    visited = np.flatnonzero(near)
    for first in range(0, len(visited), BLOCKS_AT_ONCE):
        chosen = visited[first : first + BLOCKS_AT_ONCE]
        x, y, z = (
            (begin[chosen, None] + inside[None]).ravel()
            for begin, inside in zip((begin_x, begin_y, begin_z), within, strict=True)
        )
        pixels, held = _pixels(view, x, y, z)
        seen = depth[pixels]
        distance = seen - z
        # a depth beyond `far` is no surface to fuse, but what lies well before it is empty
        active = held & (seen > 0) & (distance > np.where(seen <= far, -truncation, truncation))
        where = np.flatnonzero(active)
        if not len(where):
            continue
        block, voxel_in_block = slots[chosen[where // BLOCK**3]], where % BLOCK**3
        tsdf = np.minimum(distance[where] / truncation, np.float32(1))
        gain = weight[pixels[where]]
        old, before = store["weight"][block, voxel_in_block], store["tsdf"][block, voxel_in_block]
        total = old + gain
        share = gain / np.maximum(total, np.float32(1e-9))
        store["tsdf"][block, voxel_in_block] = before + share * (tsdf - before)
        store["weight"][block, voxel_in_block] = total


def _carve(store: dict[str, NDArray[np.float32]], slots: NDArray[np.intp], looked_through: NDArray[np.float32]) -> None:
    """Move the voxels of blocks that views looked through towards empty, by how many did."""
    chosen = looked_through > 0
    rows, votes = slots[chosen], looked_through[chosen][:, None]
    weight, tsdf = store["weight"][rows], store["tsdf"][rows]
    measured = weight > 0  # what no view measured stays unknown
    total = weight + votes
    store["tsdf"][rows] = np.where(measured, (tsdf * weight + votes) / total, tsdf)
