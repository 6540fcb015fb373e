"""The steps in order, each in its own process, finished ones reused, the result moved into place at the end."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli import step_options
from cli.display import Display, duration
from cli.presets import RunOptions, in_force
from cli.workspace import CHECKPOINT, Finished, Workspace, opened
from tasks.errors import BadOption
from tasks.export.options import Extras
from tasks.process import digest, machine
from tasks.process.messages import Job
from tasks.process.runner import run_step

EXTRACT = "tasks.extract.step:extract"
MASK = "tasks.mask.step:mask"
SFM = "tasks.sfm.step:reconstruct"
SCALE = "tasks.scale.step:scale"
TRAIN = "tasks.train.step:train"
MESH = "tasks.mesh.step:mesh"
TURNTABLE = "tasks.turntable.step:turntable"
EXPORT = "tasks.export.step:export"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a run begins from; exactly one is given.

    Attributes:
        source: a video, a folder of photos or a zip of them.
        posed: a folder with `images/` and a COLMAP model in `colmap/`; with `masks/` only the subject is trained.
    """

    source: Path | None = None
    posed: Path | None = None


def run(inputs: Inputs, out: Path, options: RunOptions, *, resume: bool, clean: bool, display: Display) -> None:
    """Makes the result folder `out` from the inputs.

    Args:
        inputs: what to begin from.
        out: the result folder; an earlier result in it is replaced only when the new one is complete.
        options: the options in force.
        resume: use the finished steps and the training checkpoint of earlier runs in `out` that still fit.
        clean: remove the work folder after success.
        display: shows the progress.

    Raises:
        InputError: the input can't be used; `out` is left as it was.
        MaskModelMissing, MaskModelUnusable, MeshUnavailable, VideoEncoderMissing: before any other work is done.
        MachineError: the disk, the memory or the device; finished steps are kept for a resumed run once SfM is done.
        StepDefect: a step failed in a way that we did not foresee.
        KeyboardInterrupt: stopped; a resumed run goes on from here.
    """
    _refuse_overlap(inputs, out)
    with opened(out) as workspace:
        _Run(workspace, options, resume, display).all_steps(inputs)
        if clean:
            workspace.clean()


class _Run:
    def __init__(self, workspace: Workspace, options: RunOptions, resume: bool, display: Display) -> None:
        self._workspace = workspace
        self._options = options
        self._resume = resume
        self._display = display
        self._digests: dict[str, str] = {}
        self._finished: dict[str, Finished] = {}

    def all_steps(self, inputs: Inputs) -> None:
        options = self._options
        model = _mask_model(options) if options.remove_background else None
        if options.mesh:
            step_options.require_mesh()
        if options.turntable:
            step_options.turntable_options(options)  # a length that can't be
            step_options.require_turntable()
        if options.apriltag_size_mm is not None:
            step_options.scale_options(options)  # a family that there isn't
        if inputs.posed is not None:
            posed = inputs.posed.absolute()
            posed_digest = digest.of_folder_parts(posed, ("images", "colmap", "masks"))
        else:
            assert inputs.source is not None
            posed = self._posed(inputs.source.absolute(), model)
            posed_digest = self._digests["sfm"]
        scale = self._scale(posed, posed_digest) if options.apriltag_size_mm is not None else None
        trained = self._step(
            "train",
            TRAIN,
            posed_digest,
            step_options.train_options(options),
            lambda out, given: {"posed": posed, "out": out, "options": given},
            done=lambda r: f"{r.get('num_gaussians', 0):,} Gaussians",
        ).folder
        self._workspace.worth_keeping = True
        mesh = self._mesh(trained, posed, scale) if options.mesh else None
        turned = self._turntable(trained, posed) if options.turntable else None
        mask = self._finished.get("mask")
        extras = Extras(mask=mask.folder if mask else None, scale=scale, mesh=mesh, turntable=turned)
        self._export(inputs, trained, posed, extras)

    def _posed(self, source: Path, model: Path | None) -> Path:
        """Undistorted views with their cameras, of a video or photos; with a segmentation model, masks of the subject too."""
        options = self._options
        frames = self._step(
            "extract",
            EXTRACT,
            digest.of_input(source) if source.is_file() or source.is_dir() else "missing",
            step_options.extract_options(options),
            lambda out, given: {"source": source, "out": out, "options": given},
            done=lambda r: f"{r.get('frames_kept', '?')} of {r.get('frames_seen', '?')} frames kept",
        ).folder
        inputs, masks = self._digests["extract"], None
        if model is not None:
            masks = self._step(
                "mask",
                MASK,
                inputs,
                step_options.mask_options(options, model),
                lambda out, given: {"extracted": frames, "out": out, "options": given, "model": model},
                done=lambda r: f"the subject fills {100 * r.get('coverage', 0):.0f} % of a frame",
            ).folder
            inputs = digest.of_json([inputs, self._digests["mask"]])
        posed = self._step(
            "sfm",
            SFM,
            inputs,
            step_options.sfm_options(options),
            lambda out, given: {"extracted": frames, "out": out, "options": given, "masks": masks},
            done=lambda r: f"{r.get('frames_registered', '?')} of {r.get('frames_given', '?')} frames registered",
        ).folder
        self._workspace.worth_keeping = True
        return posed

    def _scale(self, posed: Path, posed_digest: str) -> Path:
        return self._step(
            "scale",
            SCALE,
            posed_digest,
            step_options.scale_options(self._options),
            lambda out, given: {"posed": posed, "out": out, "options": given},
            done=_scale_said,
        ).folder

    def _mesh(self, trained: Path, posed: Path, scale: Path | None) -> Path:
        factor = _metres_per_unit(scale)
        return self._step(
            "mesh",
            MESH,
            digest.of_json([self._digests["train"], factor]),
            step_options.mesh_options(self._options),
            lambda out, given: {
                "trained": trained,
                "posed": posed,
                "out": out,
                "options": given,
                "metres_per_unit": factor,
            },
            done=lambda r: f"{r.get('faces', 0):,} triangles",
        ).folder

    def _turntable(self, trained: Path, posed: Path) -> Path:
        return self._step(
            "turntable",
            TURNTABLE,
            self._digests["train"],
            step_options.turntable_options(self._options),
            lambda out, given: {"trained": trained, "posed": posed, "out": out, "options": given},
            done=lambda r: f"{r.get('frames', 0)} frames, {r.get('path', '')}",
        ).folder

    def _step(
        self,
        name: str,
        function: str,
        inputs_digest: str,
        options: Any,
        arguments: Callable[[Path, Any], dict[str, Any]],
        *,
        done: Callable[[dict[str, Any]], str],
    ) -> Finished:
        workspace, display = self._workspace, self._display
        key = self._digests[name] = digest.of_step(name, inputs_digest, options)
        display.begin(name)
        kept = workspace.finished(name, key) if self._resume else None
        if kept is not None:
            display.end(f"reused: {done(kept.record)}, took {duration(kept.seconds)}")
            self._finished[name] = kept
            return kept
        part = workspace.part(name, key)
        if not (self._resume and (part / CHECKPOINT).is_file()):
            workspace.discard_part(name, key)
            part = workspace.part(name, key)
        job = Job(function=function, arguments=arguments(part, options), out=workspace.out)
        outcome = run_step(job, display.advance, workspace.log_path(name))
        finished = workspace.finish(
            name, key, record=outcome.record, seconds=outcome.seconds, peak_memory_bytes=outcome.peak_memory_bytes
        )
        display.end(f"{done(finished.record)} in {duration(finished.seconds)}")
        self._finished[name] = finished
        return finished

    def _export(self, inputs: Inputs, trained: Path, posed: Path, extras: Extras) -> None:
        workspace, display = self._workspace, self._display
        display.begin("export")
        workspace.drop("export")
        part = workspace.part("export", "result")
        arguments = {
            "trained": trained,
            "posed": posed,
            "out": part,
            "context": _context(inputs, self._finished, self._options),
            "extras": extras,
        }
        outcome = run_step(
            Job(function=EXPORT, arguments=arguments, out=workspace.out), display.advance, workspace.log_path("export")
        )
        workspace.publish(part)
        workspace.drop("export")
        workspace.keep_only(self._digests)
        display.end(f"in {duration(outcome.seconds)}")


def _mask_model(options: RunOptions) -> Path:
    """The file of the segmentation model, found and looked at."""
    from tasks.mask.model import check_model, find_model

    home = os.environ.get("REMBG_HOME")
    model = find_model(Path(home) if home else None, options.mask_model)
    check_model(model, options.mask_model)
    return model


def _scale_said(record: dict[str, Any]) -> str:
    if record.get("metres_per_unit"):
        return f"true size known to {100 * record.get('relative_uncertainty', 0):.2f} %"
    return str(record.get("status", "")).replace("_", " ")


def _metres_per_unit(scale: Path | None) -> float | None:
    return json.loads((scale / "scale.json").read_text())["metres_per_unit"] if scale is not None else None


def _context(inputs: Inputs, finished: dict[str, Finished], options: RunOptions) -> Any:
    from tasks.export.options import ReportContext

    source = inputs.posed or inputs.source
    extracted = finished["extract"].folder / "extract.json" if "extract" in finished else None
    return ReportContext(
        source=source.absolute().name if source is not None else "",
        extract=json.loads(extracted.read_text()) if extracted is not None and extracted.is_file() else None,
        stages={
            name: {"seconds": step.seconds, "peak_memory_bytes": step.peak_memory_bytes, "reused": step.reused}
            for name, step in finished.items()
        },
        versions=machine.versions(),
        preset=options.preset,
        options=in_force(options, posed=inputs.posed is not None),
        machine=machine.machine(options.device),
    )


def _refuse_overlap(inputs: Inputs, out: Path) -> None:
    """An output inside an input folder would change the input."""
    target = out.resolve()
    for path in (inputs.source, inputs.posed):
        if path is not None and path.is_dir() and target.is_relative_to(path.resolve()):
            raise BadOption(f"--out {out} lies inside the input folder {path}; choose another place.")
