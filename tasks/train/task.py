"""Training as a task: posed views in, a judged scene out; holds a GPU, or the CPU slot, meanwhile, and shows previews."""

from pathlib import Path
from typing import Any

from storage import naming
from tasks.errors import TransientError
from tasks.presets import DEFAULT_OF_DEVICE, PRESETS
from tasks.process import digest
from tasks.service.policy import step_task
from tasks.service.reference import StepReference
from tasks.service.run import JobRun, Watch
from tasks.service.slots import training_slot
from tasks.train.options import TrainOptions

STEP = "train"
LAST_PERCENT = 98  # the rest is the export's
PREVIEWS = 20  # in a run, about
CHECKPOINT_SECONDS = 20.0


def options_of(run: JobRun) -> TrainOptions:
    """As the client asked; what was left open is by device."""
    device: Any = run.device
    steps = run.job.training_num_steps
    return TrainOptions(
        steps=steps,
        max_gaussians=run.job.training_max_num_gaussians,
        train_side_px=run.job.train_side_px or PRESETS[DEFAULT_OF_DEVICE[run.device]]["train_side_px"],
        device=device,
        threads=run.threads,
        checkpoint_every_seconds=CHECKPOINT_SECONDS,
        preview_every_steps=min(max(steps // PREVIEWS, 10), 500),
    )


def identity(run: JobRun, posed: StepReference) -> str:
    """By the posed views and the options."""
    return digest.of_step(STEP, posed.digest, options_of(run))


@step_task(STEP, identity)
def train(run: JobRun, posed: StepReference) -> StepReference:
    """A trained scene, see `tasks.train.step.train`."""
    views, options = run.folder_of(posed), options_of(run)
    return run.make(
        STEP,
        identity(run, posed),
        "tasks.train.step:train",
        lambda out: {"posed": views, "out": out, "options": options},
        percent=lambda done, total: LAST_PERCENT * done // max(total, 1),
        watch=_previews(run),
        slot=training_slot(run),
        checkpointed=True,
    )


def _previews(run: JobRun) -> Watch:
    """Puts every new preview of the half-made scene into the store, and takes the last but one out: to the last one somebody
    may be on the way.
    """
    shown = ""
    replaced: list[str] = []

    def watch(part: Path, _done: int, _total: int) -> None:
        nonlocal shown
        newest = max((path.name for path in (part / "previews").glob("step_*.jpg")), default="")
        if newest <= shown:
            return
        shown = newest
        number = int(newest.removeprefix("step_").removesuffix(".jpg"))
        key = naming.preview_key(run.owner_id, run.attempt_name, number)
        try:
            run.put(key, part / "previews" / newest, "image/jpeg")
            before = run.attempt.preview(key)
            if before and before != key:
                replaced.append(before)
            if len(replaced) > 1:
                run.objects.delete([replaced.pop(0)])
        except TransientError as error:  # the next one is as good; the training need not stop for that
            run.log.warning("A preview was not stored: %s", error)

    return watch
