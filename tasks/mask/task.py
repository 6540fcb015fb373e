"""Mask as a task: frames in, masks of the subject out; a job that keeps its background passes."""

from pathlib import Path

from tasks.mask.model import check_model, find_model
from tasks.mask.options import MaskOptions
from tasks.process import digest
from tasks.service.policy import step_task
from tasks.service.reference import StepReference
from tasks.service.run import JobRun
from tasks.service.slots import gpu_slot

STEP = "mask"


def model_of(run: JobRun) -> Path:
    """The model's file on this machine.

    Raises:
        MaskModelMissing
    """
    return find_model(run.settings.rembg_home, run.settings.mask_model)


def require(run: JobRun) -> None:
    """Looks for what the step will need, before any other work is done.

    Raises:
        MaskModelMissing, MaskModelUnusable
    """
    if run.job.remove_background:
        check_model(model_of(run), run.settings.mask_model)


def identity(run: JobRun, extracted: StepReference) -> str:
    """By the frames and the model."""
    if not run.job.remove_background:
        return "none"
    return digest.of_step(STEP, extracted.digest, _options(run, model_of(run)))


@step_task(STEP, identity)
def mask(run: JobRun, extracted: StepReference) -> StepReference | None:
    """Masks of the subject, see `tasks.mask.step.mask`; None where the background stays."""
    if not run.job.remove_background:
        return None
    frames, model = run.folder_of(extracted), model_of(run)
    options = _options(run, model)
    return run.make(
        STEP,
        identity(run, extracted),
        "tasks.mask.step:mask",
        lambda out: {"extracted": frames, "out": out, "options": options, "model": model},
        slot=gpu_slot(run) if _uses_gpu(run) else None,
    )


def _uses_gpu(run: JobRun) -> bool:
    """Whether the network runs on the GPU: onnxruntime comes with and without that."""
    if run.device != "cuda":
        return False
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _options(run: JobRun, model: Path) -> MaskOptions:
    return MaskOptions(model=run.settings.mask_model, model_sha256=digest.of_file(model))
