"""Do the views see the same surface? Depth of one, carried into its neighbours and compared with theirs."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tasks.mesh.depth import DepthMap, points_in_camera
from tasks.mesh.options import Agreement
from tasks.mesh.views import MeshView

NEIGHBOURS = 4
# Apart as seen from the surface: nearer views can't disagree, farther ones see other sides.
NEAR_DEG, FAR_DEG = 4.0, 75.0
IN_SIGHT_DEG = 45.0  # from a neighbour's axis: what is looked at is hardly in its picture farther off
TOLERANCE = 0.03  # relative depth
SAME_SURFACE = 0.10  # relative depth; farther apart two views see two surfaces, one before the other


def neighbours(views: Sequence[MeshView], depths: NDArray[np.float64]) -> list[list[int]]:
    """For each view the indices of up to NEIGHBOURS others that see the same from another place, the nearest of them.

    Args:
        depths: (V,) usual depth of each view: what it looks at lies there on its axis.
    """
    centres = np.stack([view.centre for view in views])
    axes = np.stack([view.axis for view in views])
    found = []
    for index, (centre, axis, depth) in enumerate(zip(centres, axes, depths, strict=True)):
        seen = centre + depth * axis
        rays = seen - centres
        rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
        apart = np.degrees(np.arccos(np.clip(rays @ rays[index], -1, 1)))
        turned = np.degrees(np.arccos(np.clip((rays * axes).sum(1), -1, 1)))
        others = np.array(
            [i for i in range(len(views)) if i != index and apart[i] < FAR_DEG and turned[i] < IN_SIGHT_DEG], int
        )
        # those that are too near come last, the nearest of them at the very end
        order = np.where(apart[others] >= NEAR_DEG, apart[others], 2 * FAR_DEG - apart[others])
        found.append([int(i) for i in others[np.argsort(order)][:NEIGHBOURS]])
    return found


def carried(
    depth: NDArray[np.float32], view: MeshView, other: MeshView, seen: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A depth map's pixels as another camera has them.

    Returns, both (H, W): their depth in the other camera, 0 where they fall outside its picture, and the other's own depth `seen`
    there, 0 where it has none.
    """
    points = points_in_camera(depth, view.K)
    motion = other.viewmat.astype(np.float64) @ np.linalg.inv(view.viewmat.astype(np.float64))
    x, y, z = np.moveaxis(points @ motion[:3, :3].T.astype(np.float32) + motion[:3, 3].astype(np.float32), -1, 0)
    ahead = (depth > 0) & (z > 1e-6)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        u = other.K[0, 0] * x / z + other.K[0, 2]
        v = other.K[1, 1] * y / z + other.K[1, 2]
        inside = ahead & (u >= 0) & (v >= 0) & (u < other.width) & (v < other.height)
    columns = np.where(inside, u, 0).astype(np.intp)
    rows = np.where(inside, v, 0).astype(np.intp)
    own = np.where(inside, seen[rows, columns], 0)
    return np.where(inside, z, 0).astype(np.float32), own.astype(np.float32)


def consistent(
    views: Sequence[MeshView],
    maps: Sequence[DepthMap],
    near: Sequence[Sequence[int]],
    progress: Callable[[int, int], None],
) -> list[DepthMap]:
    """The maps without the depths that neighbours contradict.

    A pixel stays when two neighbours see a surface there and no more of them look through it, or when one does and none looks through
    it. Being hidden from a neighbour says nothing.
    """
    kept = []
    for index, (view, item) in enumerate(zip(views, maps, strict=True)):
        agreeing = np.zeros(item.depth.shape, np.int16)
        through = np.zeros(item.depth.shape, np.int16)
        for other in near[index]:
            there, own = carried(item.depth, view, views[other], maps[other].depth)
            with np.errstate(divide="ignore", invalid="ignore"):
                difference = np.where(own > 0, there / own - 1, np.nan)
            agreeing += np.abs(difference) < TOLERANCE
            through += difference < -TOLERANCE
        stays = (agreeing >= 1) & (agreeing >= through) & ((agreeing >= 2) | (through == 0))
        kept.append(
            replace(
                item, depth=np.where(stays, item.depth, 0).astype(np.float32), weight=np.where(stays, item.weight, 0)
            )
        )
        progress(index + 1, len(views))
    return kept


def agreement(pairs: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> Agreement:
    """Of pairs of depth maps (a, b) of one shape, 0 where unknown; pixels that show two surfaces, one before the other, don't count."""
    differences, seen, both = [np.zeros(0, np.float32)], 0, 0
    for a, b in pairs:
        known = b > 0
        shared = known & (a > 0)
        difference = np.abs(a[shared] / b[shared] - 1)
        seen, both = seen + int(known.sum()), both + int(shared.sum())
        differences.append(difference[difference < SAME_SURFACE])
    found = np.concatenate(differences)
    if not len(found):
        return Agreement(median=0.0, p95=0.0, coverage=0.0, views=len(pairs))
    return Agreement(
        median=float(np.median(found)),
        p95=float(np.percentile(found, 95)),
        coverage=both / max(seen, 1),
        views=len(pairs),
    )


def between_views(
    views: Sequence[MeshView], maps: Sequence[DepthMap], near: Sequence[Sequence[int]], far: NDArray[np.float64]
) -> Agreement:
    """How well the splats' depth in each view agrees with that in its nearest neighbour, up to `far`."""
    pairs = []
    for index, others in enumerate(near):
        if not others:
            continue
        depth = np.where(maps[index].depth <= far[index], maps[index].depth, 0)
        there, own = carried(depth, views[index], views[others[0]], maps[others[0]].depth)
        pairs.append((own, there))
    return agreement(pairs)
