"""Export as a task: a trained scene in, the files that a client downloads out, each under this attempt's own keys."""

import json
from pathlib import Path
from typing import Any

from storage import naming
from tasks.export.options import Extras, ReportContext
from tasks.process import digest, machine
from tasks.process.messages import Job
from tasks.service import archive
from tasks.service.policy import step_task
from tasks.service.reference import ExportReference, StepReference
from tasks.service.run import JobRun

STEP = "export"
FIRST_PERCENT, LAST_PERCENT = 98, 99
PREVIEW = "preview.jpg"
ID_DIGITS = 16


Optional = StepReference | None


def identity(
    run: JobRun,
    extracted: StepReference,
    posed: StepReference,
    trained: StepReference,
    masked: Optional,
    scaled: Optional,
    meshed: Optional,
    turned: Optional,
) -> str:
    """By the scene, and by what the report says of the steps before.

    A try at a better result takes no other run's files for its own: they may be removed while it is at work.
    """
    others = [step.digest for step in (masked, scaled, meshed, turned) if step is not None]
    others += [str(run.job_id)] if run.job.reprocess_of is not None else []
    return digest.of_step(STEP, trained.digest, [posed.digest, extracted.digest, run.job.title, *others])


@step_task(STEP, identity)
def export(
    run: JobRun,
    extracted: StepReference,
    posed: StepReference,
    trained: StepReference,
    masked: Optional,
    scaled: Optional,
    meshed: Optional,
    turned: Optional,
) -> ExportReference:
    """The result's files in the object store, see `tasks.export.step.export`."""
    out = run.scratch("export")
    steps = [step for step in (extracted, masked, posed, scaled, trained, meshed, turned) if step is not None]
    context = _context(run, extracted, steps)
    folders = [None if step is None else run.folder_of(step) for step in (masked, scaled, meshed, turned)]
    arguments = {
        "trained": run.folder_of(trained),
        "posed": run.folder_of(posed),
        "out": out,
        "context": context,
        "extras": Extras(mask=folders[0], scale=folders[1], mesh=folders[2], turntable=folders[3]),
    }
    outcome = run.carry_out(
        STEP,
        Job(function="tasks.export.step:export", arguments=arguments, out=out),
        lambda done, total: FIRST_PERCENT + (LAST_PERCENT - FIRST_PERCENT) * done // max(total, 1),
    )
    packed = [name for name in ("images", "masks", "colmap") if (out / name).is_dir()]
    archive.zip_folders(out, packed, out / "colmap.zip")
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    files = {
        kind: _store(run, out / name, content_type)
        for kind, (name, content_type) in naming.FILES.items()
        if (out / name).is_file()
    }
    preview = _store(run, out / PREVIEW, "image/jpeg")
    return ExportReference(
        digest=trained.digest,
        files=files,
        preview_key=preview["key"],
        camera=json.loads((out / "camera.json").read_text(encoding="utf-8")),
        quality=_quality(report, posed),
        seconds=round(outcome.seconds, 3),
        warnings=tuple(report.get("warnings") or ()),
    )


def _store(run: JobRun, path: Path, content_type: str) -> dict[str, Any]:
    key = naming.output_key(run.owner_id, run.attempt_name, path.name)
    run.patiently(lambda: run.put(key, path, content_type))
    return {"key": key, "bytes": path.stat().st_size, "sha256": digest.of_file(path)}


def _quality(report: dict[str, Any], posed: StepReference) -> dict[str, Any]:
    masked = (report.get("evaluation") or {}).get("masked") or {}
    evaluation, sfm = report.get("evaluation") or {}, report.get("sfm") or {}
    views = [view["name"] for view in evaluation.get("views") or []]
    training, stages = report.get("training") or {}, report.get("stages") or {}
    return {
        "frames_given": sfm.get("frames_given"),
        "frames_registered": sfm.get("frames_registered"),
        "reprojection_error_px": sfm.get("reprojection_error_px"),
        "psnr_db": evaluation.get("psnr_db"),
        "ssim": evaluation.get("ssim"),
        "subject_psnr_db": masked.get("psnr_db"),
        "num_gaussians": training.get("num_gaussians"),
        # What results can be compared by: the views that they were judged by, the cameras, and the code.
        "held_out_views": len(views),
        "evaluated_by": digest.of_json([views, evaluation.get("width"), evaluation.get("height")])[:ID_DIGITS],
        "posed_by": posed.digest[:ID_DIGITS],
        "pipeline": digest.of_pipeline(),
        "step_seconds": {name: round(stage["seconds"], 3) for name, stage in stages.items() if stage},
    }


def _context(run: JobRun, extracted: StepReference, steps: list[StepReference]) -> ReportContext:
    job = run.job
    return ReportContext(
        source=job.title,
        extract=json.loads((run.folder_of(extracted) / "extract.json").read_text()),
        stages={
            step.step: {"seconds": step.seconds, "peak_memory_bytes": step.peak_memory_bytes, "reused": False}
            for step in steps
        },
        versions=machine.versions(),
        options={
            "reconstruction_method": job.reconstruction_method,
            "training_num_steps": job.training_num_steps,
            "training_max_num_gaussians": job.training_max_num_gaussians,
            "max_frames": job.max_frames,
            "train_side_px": job.train_side_px,
            "device": run.device,
            **_extras_asked_for(run),
        },
        machine=machine.machine(run.device),
    )


def _extras_asked_for(run: JobRun) -> dict[str, Any]:
    job, settings = run.job, run.settings
    asked: dict[str, Any] = {}
    if job.remove_background:
        asked |= {"remove_background": True, "mask_model": settings.mask_model}
    if job.apriltag_size_mm is not None:
        asked |= {"apriltag_size_mm": job.apriltag_size_mm, "apriltag_family": settings.apriltag_family}
    if job.mesh:
        asked["mesh"] = True
    return asked | ({"turntable": job.turntable} if job.turntable else {})
