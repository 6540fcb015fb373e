"""The export step: a trained scene, its posed views and every step's record to the folder that a client gets."""

import json
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.errors import BadScene
from tasks.export import pictures, subjects
from tasks.export.extras import files as extra_files
from tasks.export.extras import in_metres, spz_bits
from tasks.export.extras import read as read_extras
from tasks.export.folder import place, place_posed_views
from tasks.export.manifest import manifest
from tasks.export.options import ExportRecord, Extras, Progress, ReportContext
from tasks.export.page import render_page
from tasks.export.posed import read_model, summarise
from tasks.export.report import build_report
from tasks.export.views import VIEWS, write_views
from tasks.gaussians.files import new_folder
from tasks.gaussians.ply import read_ply, write_ply
from tasks.gaussians.spz import write_spz
from tasks.gaussians.spz_streams import FRACTIONAL_BITS, fractional_bits
from tasks.geometry.posed import masks_in_force

TOTAL = 100
COARSE_BITS = 9  # under so many fractional bits scene.spz is visibly coarser than scene.ply
PREVIEW_QUALITY = 92


def export(
    trained: Path,
    posed: Path,
    out: Path,
    context: ReportContext,
    progress: Progress,
    *,
    extras: Extras = Extras(),  # noqa: B008 - frozen
) -> ExportRecord:
    """Write the result folder `out`: scene.ply, scene.spz, preview.jpg, camera.json, views.zip, images/, colmap/, report.json,
    report.html; masks/ where the posed views have them, mesh.glb, turntable.mp4 and poster.jpg where they were made.

    Where a scale is known everything is in metres, though the scene was trained in the unit of its cameras. `out` appears whole
    or not at all. The seconds that the report gives for export itself are taken just before the two reports are written, the
    last thing that is done.

    Args:
        trained: the train step's folder: scene.ply, renders/, preview.png, camera.json, train.json.
        posed: images/, colmap/ and, from our own SfM, sfm.json. Its files are hard-linked when this run made them (then there
            is `context.extract`) and copied when the client gave them.
        out: a new or empty folder; its parent need not exist.
        context: what the folders don't say.
        extras: folders of the steps that not every run has.
        progress: called as (done, total, message); may raise to stop.

    Raises:
        BadScene: the trained folder isn't whole.
        BadPosedInput: the posed folder isn't.
        DiskFull, OutputUnwritable.
    """
    started = time.perf_counter()
    progress(0, TOTAL, "reading the scene")
    train = context.train if context.train is not None else _read_json(trained / "train.json")
    sfm = context.sfm if context.sfm is not None else _read_sfm(posed / "sfm.json")
    told = read_extras(extras)
    factor = told.metres_per_unit
    camera: Mapping[str, Any] = _read_json(trained / "camera.json")
    gaussians = read_ply(trained / "scene.ply")
    model = read_model(posed)
    if factor is not None:
        gaussians, camera = in_metres(gaussians, model, camera, factor)
    preview = pictures.read(trained / "preview.png")
    if preview is None:
        raise BadScene(f"{trained / 'preview.png'} is missing or can't be read; train again.")
    with new_folder(out) as folder:
        progress(5, TOTAL, "writing images")
        link = context.extract is not None  # this run made the views itself
        place_posed_views(
            posed,
            folder,
            model,
            link=link,
            masks=masks_in_force(trained, posed),
            write_model=factor is not None,
            progress=lambda done, total: progress(5 + 40 * done // total, TOTAL, f"image {done} of {total}"),
        )
        views = summarise(model)
        progress(45, TOTAL, "writing scene.ply and scene.spz")
        if factor is None:
            place(trained / "scene.ply", folder / "scene.ply", link=True)
        else:
            write_ply(folder / "scene.ply", gaussians)
        antialiased = bool((train.get("options") or {}).get("antialiased"))
        most_bits = spz_bits(factor)
        write_spz(folder / "scene.spz", gaussians, antialiased=antialiased, most_bits=most_bits)
        for path in extra_files(extras):
            place(path, folder / path.name, link=True)
        (folder / "preview.jpg").write_bytes(pictures.jpeg(preview, PREVIEW_QUALITY))
        (folder / "camera.json").write_bytes(_json(camera))
        progress(60, TOTAL, "comparing held-out views")
        held_out = [str(name) for name in (train.get("evaluation") or {}).get("held_out") or ()]
        masks = folder / "masks" if (folder / "masks").is_dir() else None
        write_views(folder / VIEWS, model, folder / "images", held_out, masks)
        compared = pictures.comparisons(folder / "images", trained / "renders", held_out, masks)
        cut_out = subjects.cut_outs(folder / "images", masks, views.names) if masks is not None else []
        progress(85, TOTAL, "writing the report")
        bits = fractional_bits(gaussians.means, most_bits)
        report = build_report(
            context,
            told=told,
            sfm=sfm,
            train=train,
            views=views,
            gaussians=gaussians,
            camera=camera,
            files=manifest(folder),
            stage={
                "seconds": time.perf_counter() - started,
                "peak_memory_bytes": peak_memory_bytes(),
                "reused": False,
            },
            warnings=_warnings(bits),
            spz_fractional_bits=bits,
        )
        small = pictures.scaled(preview, pictures.PREVIEW_SIDE_PX)
        page = render_page(report, views, compared, pictures.data_uri(small), cut_out)
        (folder / "report.json").write_bytes(_json(report))
        (folder / "report.html").write_text(page, encoding="utf-8")
        files = {name: int(entry["bytes"]) for name, entry in report["files"].items()}
        progress(TOTAL, TOTAL, "exported")
    return ExportRecord(
        num_gaussians=len(gaussians),
        images=len(views.names),
        files_bytes=files,
        seconds=float(report["stages"]["export"]["seconds"]),
        warnings=tuple(report["warnings"]),
    )


def peak_memory_bytes() -> int:
    """Largest resident memory that this process had."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):  # unlike getrusage's, not inherited from the process that started this one
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _warnings(bits: int) -> list[str]:
    if bits >= COARSE_BITS or bits >= FRACTIONAL_BITS:
        return []
    return [
        f"The scene is so large that scene.spz holds positions in steps of {2.0**-bits:g} units only; "
        "use scene.ply where that matters."
    ]


def _read_sfm(path: Path) -> Mapping[str, Any] | None:
    """sfm.json, or None where there is none of ours: a client's own posed folder may hold any file of that name."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        numbers = [found[key] for key in ("frames_given", "frames_registered", "points", "reprojection_error_px")]
        plain_numbers = all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers)
        lists = all(isinstance(item, dict) for item in [*found["attempts"], *found.get("frames", [])])
        return found if plain_numbers and lists and isinstance(found["method"], str) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadScene(f"{path} is missing; train again.") from error
    except (OSError, ValueError) as error:
        raise BadScene(f"{path} can't be read; train again.") from error
    if not isinstance(value, Mapping):
        raise BadScene(f"{path} doesn't hold what it should; train again.")
    return value


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode("ascii")
