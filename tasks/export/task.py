"""Export as a task: a trained scene in, the files that a client downloads out, each under this attempt's own keys."""

import json
from pathlib import Path
from typing import Any

from storage import naming
from tasks.export.options import ReportContext
from tasks.process import digest, machine
from tasks.process.messages import Job
from tasks.service import archive
from tasks.service.policy import step_task
from tasks.service.reference import ExportReference, StepReference
from tasks.service.run import JobRun

STEP = "export"
FIRST_PERCENT, LAST_PERCENT = 98, 99
PREVIEW = "preview.jpg"


def identity(run: JobRun, extracted: StepReference, posed: StepReference, trained: StepReference) -> str:
    """By the scene, and by what the report says of the steps before."""
    return digest.of_step(STEP, trained.digest, [posed.digest, extracted.digest, run.job.title])


@step_task(STEP, identity)
def export(run: JobRun, extracted: StepReference, posed: StepReference, trained: StepReference) -> ExportReference:
    """The result's files in the object store, see `tasks.export.step.export`."""
    out = run.scratch("export")
    context = _context(run, extracted, posed, trained)
    arguments = {
        "trained": run.folder_of(trained),
        "posed": run.folder_of(posed),
        "out": out,
        "context": context,
    }
    outcome = run.carry_out(
        STEP,
        Job(function="tasks.export.step:export", arguments=arguments, out=out),
        lambda done, total: FIRST_PERCENT + (LAST_PERCENT - FIRST_PERCENT) * done // max(total, 1),
    )
    archive.zip_folders(out, ("images", "colmap"), out / "colmap.zip")
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    files = {kind: _store(run, out / name, content_type) for kind, (name, content_type) in naming.FILES.items()}
    preview = _store(run, out / PREVIEW, "image/jpeg")
    return ExportReference(
        digest=trained.digest,
        files=files,
        preview_key=preview["key"],
        camera=json.loads((out / "camera.json").read_text(encoding="utf-8")),
        quality=_quality(report),
        seconds=round(outcome.seconds, 3),
        warnings=tuple(report.get("warnings") or ()),
    )


def _store(run: JobRun, path: Path, content_type: str) -> dict[str, Any]:
    key = naming.output_key(run.job_id, run.attempt.number, path.name)
    run.put(key, path, content_type)
    return {"key": key, "bytes": path.stat().st_size, "sha256": digest.of_file(path)}


def _quality(report: dict[str, Any]) -> dict[str, Any]:
    evaluation, sfm = report.get("evaluation") or {}, report.get("sfm") or {}
    training, stages = report.get("training") or {}, report.get("stages") or {}
    return {
        "frames_given": sfm.get("frames_given"),
        "frames_registered": sfm.get("frames_registered"),
        "reprojection_error_px": sfm.get("reprojection_error_px"),
        "psnr_db": evaluation.get("psnr_db"),
        "ssim": evaluation.get("ssim"),
        "num_gaussians": training.get("num_gaussians"),
        "step_seconds": {name: round(stage["seconds"], 3) for name, stage in stages.items() if stage},
    }


def _context(run: JobRun, extracted: StepReference, posed: StepReference, trained: StepReference) -> ReportContext:
    job = run.job
    return ReportContext(
        source=job.title,
        extract=json.loads((run.folder_of(extracted) / "extract.json").read_text()),
        stages={
            step.step: {"seconds": step.seconds, "peak_memory_bytes": step.peak_memory_bytes, "reused": False}
            for step in (extracted, posed, trained)
        },
        versions=machine.versions(),
        options={
            "reconstruction_method": job.reconstruction_method,
            "training_num_steps": job.training_num_steps,
            "training_max_num_gaussians": job.training_max_num_gaussians,
            "max_frames": job.max_frames,
            "train_side_px": job.train_side_px,
            "device": run.device,
        },
        machine=machine.machine(run.device),
    )
