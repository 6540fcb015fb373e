"""The mesh step: a trained scene and its cameras in, a mesh out."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.errors import BadOption
from tasks.gaussians.files import new_folder
from tasks.gaussians.ply import read_ply
from tasks.geometry.posed import masks_in_force
from tasks.mesh.clean import Mesh, clean
from tasks.mesh.color import vertex_colors
from tasks.mesh.consistency import agreement, between_views, consistent, neighbours
from tasks.mesh.depth import DepthMap, DepthRenderer, points_in_camera
from tasks.mesh.fuse import fuse, plan_blocks
from tasks.mesh.options import Agreement, MeshOptions, MeshRecord
from tasks.mesh.raycast import Raycaster
from tasks.mesh.region import Region, find_region, usual_depths
from tasks.mesh.require import require
from tasks.mesh.views import MeshView, MeshViews, evenly, read_views
from tasks.mesh.write import write_glb
from tasks.train.backend import choose_backend

Progress = Callable[[int, int, str], None]
TOTAL = 1000
RENDERED, COMPARED, FUSED, CLEANED = 400, 500, 850, 950  # of TOTAL, when that part is done
MAX_JUDGED = 12  # held-out views
NEAR_UNIT = (1e-9, 1e9)  # of metres per unit; outside, something is wrong


def mesh(
    trained: Path,
    posed: Path,
    out: Path,
    options: MeshOptions,
    progress: Progress,
    metres_per_unit: float | None = None,
) -> MeshRecord:
    """Mesh the scene in `trained/scene.ply` as the cameras of `posed/colmap` see it, into the new folder `out`.

    Writes `mesh.glb` (y up; metres with `metres_per_unit`, otherwise the scene's unit) and `mesh.json`; where there is no surface
    to mesh, the latter alone, with a warning. Only the subject is meshed when `trained/masks` or `posed/masks` is there. Inputs
    are read, never changed; `progress` may raise to stop, and then nothing is left.

    Raises:
        MeshUnavailable: Open3D or trimesh can't be loaded; checked before anything else.
        BadOption: metres_per_unit is not a sensible positive number.
        BadScene: the scene can't be read.
        BadPosedInput: the cameras or masks can't be read.
        DeviceUnavailable, DiskFull, OutputUnwritable.
    """
    require()
    if metres_per_unit is not None and not NEAR_UNIT[0] < metres_per_unit < NEAR_UNIT[1]:
        raise BadOption(f"metres per unit must be a positive number, not {metres_per_unit}.")
    started = time.perf_counter()
    with new_folder(out) as part:
        progress(0, TOTAL, "reading the scene")
        views = read_views(posed, side_px=options.render_side_px, masks=masks_in_force(trained, posed))
        renderer = DepthRenderer(
            read_ply(trained / "scene.ply"),
            choose_backend(options.device, options.threads),
            antialiased=_antialiased(trained),
        )
        try:
            record = _made(part, views, renderer, options, metres_per_unit, progress)
        except _NoSurface:  # which is no reason to lose the scene
            record = _none_made(views, options, metres_per_unit)
        record = replace(record, seconds=time.perf_counter() - started)
        told = {**asdict(record), "options": asdict(options), "metres_per_unit": metres_per_unit}
        (part / "mesh.json").write_text(json.dumps(told, indent=1, allow_nan=False))
        progress(TOTAL, TOTAL, "mesh done")
    return record


class _NoSurface(Exception):
    """There is nothing to mesh."""


def _made(
    part: Path,
    views: MeshViews,
    renderer: DepthRenderer,
    options: MeshOptions,
    metres_per_unit: float | None,
    progress: Progress,
) -> MeshRecord:
    """Writes `part/mesh.glb`. Raises _NoSurface."""
    training = evenly(views.training, options.max_views)
    rendered = _render(renderer, training, lambda i, n: _tell(progress, 0, RENDERED, i, n, "rendering depth"))
    region = find_region(training, rendered, masked=views.masked)
    if region is None:
        raise _NoSurface
    near = neighbours(training, usual_depths(rendered))
    agreed = between_views(training, rendered, near, region.far)
    maps = consistent(
        training, rendered, near, lambda i, n: _tell(progress, RENDERED, COMPARED, i, n, "comparing views")
    )
    del rendered
    voxel, blocks = plan_blocks(
        training, maps, region, voxels_along_side=options.voxels_along_side, max_grid_mb=options.max_grid_mb
    )
    if not len(blocks):
        raise _NoSurface
    raw = fuse(
        training, maps, region, voxel, blocks, lambda i, n: _tell(progress, COMPARED, FUSED, i, n, "fusing depth")
    )
    progress(FUSED, TOTAL, "cleaning the mesh")
    surface, dropped = clean(raw, max_faces=options.max_faces, min_component_part=options.min_component_part)
    if not len(surface.faces):
        raise _NoSurface
    surface = replace(surface, colors=vertex_colors(surface.vertices, training, maps, voxel))
    progress(CLEANED, TOTAL, "judging and writing the mesh")
    held_out = _judge(renderer, evenly(views.held_out, MAX_JUDGED), surface, region, typical_far(region))
    size = write_glb(part / "mesh.glb", surface, metres_per_unit=metres_per_unit)
    factor = 1.0 if metres_per_unit is None else metres_per_unit
    x, y, z = (float(v) for v in factor * (surface.vertices.max(0) - surface.vertices.min(0)))
    return MeshRecord(
        vertices=len(surface.vertices),
        faces=len(surface.faces),
        unit="scene" if metres_per_unit is None else "m",
        voxel_size=voxel * factor,
        extent=(x, y, z),
        views=len(training),
        masked=views.masked,
        components_dropped=dropped,
        between_views=agreed,
        held_out=held_out,
        bytes=size,
        seconds=0.0,
        warnings=_warnings(agreed, held_out),
    )


def _none_made(views: MeshViews, options: MeshOptions, metres_per_unit: float | None) -> MeshRecord:
    why = (
        "No surface lies within the masks, so there is no mesh; run without --remove-background."
        if views.masked
        else "There is no mesh: the scene shows its cameras no surface that two of them agree on; train longer, or film "
        "from more sides."
    )
    return MeshRecord(
        vertices=0,
        faces=0,
        unit="scene" if metres_per_unit is None else "m",
        voxel_size=None,
        extent=(0.0, 0.0, 0.0),
        views=len(evenly(views.training, options.max_views)),
        masked=views.masked,
        components_dropped=0,
        between_views=None,
        held_out=None,
        bytes=0,
        seconds=0.0,
        warnings=(why,),
    )


def typical_far(region: Region) -> float:
    """Depth up to which views that weren't fused are judged."""
    return float(np.median(region.far))


def _render(renderer: DepthRenderer, views: list[MeshView], progress: Callable[[int, int], None]) -> list[DepthMap]:
    maps = []
    for number, view in enumerate(views):
        maps.append(renderer.render(view))
        progress(number + 1, len(views))
    return maps


def _judge(
    renderer: DepthRenderer, views: list[MeshView], surface: Mesh, region: Region, far: float
) -> Agreement | None:
    """The mesh against the splats in views that weren't fused, within the region."""
    if not views:
        return None
    caster = Raycaster(surface)
    pairs: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for view in views:
        splats = renderer.render(view).depth
        pairs.append((caster.cast(view)[0], np.where((splats <= far) & _inside(view, splats, region), splats, 0)))
    return agreement(pairs)


def _inside(view: MeshView, depth: NDArray[np.float32], region: Region) -> NDArray[np.bool_]:
    """(H, W) which pixels of a depth map lie in the region's box."""
    pose = view.viewmat.astype(np.float64)
    world = (points_in_camera(depth, view.K) - pose[:3, 3]) @ pose[:3, :3]
    return np.all((world >= region.low) & (world <= region.high), axis=-1)


def _antialiased(trained: Path) -> bool:
    """How the scene was trained, which is how it must be rendered; as usual where train.json doesn't say."""
    try:
        return bool(json.loads((trained / "train.json").read_text())["options"]["antialiased"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _warnings(agreed: Agreement, held_out: Agreement | None) -> tuple[str, ...]:
    found = []
    if agreed.coverage < 0.2:
        found.append(
            "Few views show the same parts of the scene, so the mesh has holes; film slowly and from more sides."
        )
    if held_out is not None and (held_out.median > 0.02 or math.isclose(held_out.coverage, 0)):
        found.append("The mesh lies off what held-out views show; train longer for a better surface.")
    return tuple(found)


def _tell(progress: Progress, begin: int, end: int, done: int, total: int, message: str) -> None:
    progress(begin + (end - begin) * done // total, TOTAL, f"{message}, view {done} of {total}")
