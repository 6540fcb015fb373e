"""`report.json`: all figures of a result, in a schema with a version.

A reader may rely on the keys of `build_report`'s docstring; more may be added without a new version.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tasks.export.extras import Told, world_from_sfm
from tasks.export.options import ReportContext
from tasks.export.posed import PosedViews
from tasks.gaussians.model import Gaussians

SCHEMA = "splatflow/report"
SCHEMA_VERSION = 1
FRAMES = {
    "scene.ply": "RDF",
    "colmap/": "RDF",
    "scene.spz": "RUB",
    "camera.json": "RUB",
    "mesh.glb": "RUB",
    "views.zip": "RUB",
}
STEPS = ("extract", "sfm", "train", "export")
OPTIONAL_STEPS = ("mask", "scale", "mesh", "turntable")
ORDER = ("extract", "mask", "sfm", "scale", "train", "mesh", "turntable", "export")


def build_report(
    context: ReportContext,
    *,
    told: Told,
    sfm: Mapping[str, Any] | None,
    train: Mapping[str, Any],
    views: PosedViews,
    gaussians: Gaussians,
    camera: Mapping[str, Any],
    files: Mapping[str, Any],
    stage: Mapping[str, Any],
    warnings: list[str],
    spz_fractional_bits: int,
) -> dict[str, Any]:
    """The report as JSON types without NaN.

    Keys: `schema, schema_version, created_utc, source, preset, options, versions, machine`;
    `evaluation.{held_out, psnr_db, ssim, width, height, views}` and, of a subject alone, `evaluation.masked`; `extract` (null
    for posed input); `mask`, `scale`, `mesh`, `turntable` (what those steps say; null for one that wasn't asked for);
    `sfm.{frames_given, frames_registered, points, reprojection_error_px, method, attempts, not_registered}` (for posed
    input method "given" and what its model says); `training.{steps, num_gaussians, device, seconds, seconds_per_step,
    history}`; `stages.{extract,sfm,train,export}.{seconds, peak_memory_bytes}` (null for a step that wasn't run), and of mask,
    scale, mesh and turntable if they were run; `peak_memory_bytes`; `warnings`; `scene` (frames, unit, `world_from_sfm`, size); `camera`;
    `files`.

    Args:
        context: from the caller.
        told: mask.json, scale.json, mesh.json and turntable.json, of those that there are.
        sfm: sfm.json, or None when the posed views were given.
        train: train.json.
        views: the posed views.
        gaussians: the scene.
        camera: camera.json.
        files: from `manifest`.
        stage: seconds and peak memory of this step.
        warnings: of this step.
        spz_fractional_bits: of the positions in scene.spz.
    """
    wanted = [name for name in ORDER if name in STEPS or name in context.stages]
    stages = {name: dict(context.stages[name]) if name in context.stages else None for name in wanted}
    stages["export"] = dict(stage)
    peaks = [s.get("peak_memory_bytes") or 0 for s in stages.values() if s] + [context.peak_memory_bytes or 0]
    report = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": context.source,
        "preset": context.preset,
        "options": dict(context.options),
        "versions": dict(context.versions),
        "machine": dict(context.machine),
        "evaluation": dict(train.get("evaluation") or {}),
        "extract": dict(context.extract) if context.extract is not None else None,
        "mask": without_warnings(told.mask),
        "sfm": sfm_part(sfm, views),
        "scale": without_warnings(told.scale),
        "training": {key: value for key, value in train.items() if key not in ("evaluation", "warnings")},
        "mesh": without_warnings(told.mesh),
        "turntable": without_warnings(told.turntable),
        "stages": stages,
        "peak_memory_bytes": max(peaks) or None,
        "warnings": all_warnings(context, told, sfm, train, warnings),
        "scene": scene_part(gaussians, views, sfm, told.metres_per_unit, spz_fractional_bits),
        "camera": camera,
        "files": files,
    }
    return plain(report)


def sfm_part(sfm: Mapping[str, Any] | None, views: PosedViews) -> dict[str, Any]:
    """sfm.json with the names that are missing; for given poses, what their model says."""
    if sfm is None:
        return {
            "frames_given": len(views.names),
            "frames_registered": len(views.names),
            "points": views.num_points,
            "reprojection_error_px": views.reprojection_error_px,
            "method": "given",
            "attempts": [],
            "not_registered": [],
        }
    frames = sfm.get("frames") or []
    missing = [f.get("name") for f in frames if isinstance(f, Mapping) and f.get("registered") is False]
    rest = {key: value for key, value in sfm.items() if key not in ("warnings", "frames")}
    return {**rest, "not_registered": missing}


def all_warnings(
    context: ReportContext, told: Told, sfm: Mapping[str, Any] | None, train: Mapping[str, Any], own: list[str]
) -> list[str]:
    """Every step's warnings in the order of the steps, each once."""
    records = (context.extract, told.mask, sfm, told.scale, train, told.mesh, told.turntable)
    parts = [(record or {}).get("warnings") for record in records]
    found = [str(warning) for part in [*parts, context.warnings, own] for warning in part or ()]
    return list(dict.fromkeys(found))


def without_warnings(record: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A step's record; its warnings stand with all others."""
    return None if record is None else {key: value for key, value in record.items() if key != "warnings"}


def scene_part(
    gaussians: Gaussians,
    views: PosedViews,
    sfm: Mapping[str, Any] | None,
    metres_per_unit: float | None,
    spz_fractional_bits: int,
) -> dict[str, Any]:
    """Frames, unit and size of the scene: what one must know to put its files together."""
    low, high = np.percentile(gaussians.means.astype(np.float64), [2, 98], axis=0)
    own = "mean distance of the cameras from what they look at" if sfm is not None else "that of the posed input"
    return {
        "world_frame": "RDF",
        "world_axes": "right-handed, x right, y down (gravity), z forward",
        "frames": FRAMES,
        "rub_from_rdf": [[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]],
        "unit": own if metres_per_unit is None else "metre",
        # Of the files: 1 where they are in metres. What the training's unit is in metres is scale.metres_per_unit.
        "metres_per_unit": None if metres_per_unit is None else 1.0,
        "world_from_sfm": world_from_sfm(sfm, metres_per_unit),
        "num_gaussians": len(gaussians),
        "sh_degree": gaussians.sh_degree,
        "bounds_2_to_98_percent": {"min": low.tolist(), "max": high.tolist()},
        "spz_position_step": 2.0**-spz_fractional_bits,
        "images": len(views.names),
    }


def plain(value: Any) -> Any:
    """The value as JSON has it: NumPy's scalars and arrays as lists, paths as text, what is not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    return str(value)
