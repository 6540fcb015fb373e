"""Training as a task: posed views in, a judged scene out; holds a GPU, or the CPU slot, meanwhile, and shows previews."""

from pathlib import Path
from typing import Any

from PIL import Image

from storage import naming
from tasks.errors import OutOfMemory, TransientError
from tasks.presets import DEFAULT_OF_DEVICE, PRESETS
from tasks.process import digest, memory
from tasks.process.device import visible_gpus
from tasks.service.policy import step_task
from tasks.service.reference import StepReference
from tasks.service.run import JobRun, Watch
from tasks.service.slots import training_slot
from tasks.train.memory import changes, level_that_fits, smaller
from tasks.train.options import TrainOptions

STEP = "train"
LAST_PERCENT = 98  # the rest is the export's
PREVIEWS = 20  # in a run, about
CHECKPOINT_SECONDS = 20.0
GB = 1e9


def asked_of(run: JobRun) -> TrainOptions:
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


def options_of(run: JobRun) -> TrainOptions:
    """What is really trained: as asked, or made smaller where that did not fit (see `tasks.train.fit`)."""
    return smaller(asked_of(run), run.job.fitted)


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


def fit(run: JobRun, posed: StepReference) -> None:
    """Before a training: makes it smaller where this machine's memory is too little, and tells the job so.

    What is finished already, or can't be known, stays as it is.

    Raises:
        OutOfMemory: even the least that is worth training doesn't fit.
        AttemptLost, TransientError
    """
    usable = run.settings.memory_limit_bytes or memory.usable_bytes(run.device, visible_gpus())
    if usable is None or run.objects.stat(naming.step_key(run.owner_id, STEP, identity(run, posed))) is not None:
        return
    views = sorted((run.folder_of(posed) / "images").iterdir())
    try:
        with Image.open(views[0]) as picture:
            width, height = picture.size
    except (OSError, IndexError):  # the training says what is wrong with them
        return
    level = level_that_fits(
        asked_of(run),
        views=len(views),
        width_px=width,
        height_px=height,
        device=run.device,
        memory_bytes=usable,
        least=run.job.fitted,
    )
    if level is None:
        raise OutOfMemory(
            f"A training on {len(views)} pictures of {width}x{height} px does not fit {usable / GB:.1f} GB of memory, however few "
            "Gaussians it may have; ask for fewer max_frames, or use a machine with more memory."
        )
    if level != run.job.fitted:
        _make_smaller(run, level, f"so that it fits the {usable / GB:.1f} GB of memory that it may use here")


def fit_after(run: JobRun, error: OutOfMemory) -> bool:
    """After a training that died for lack of memory: makes it smaller; returns False when it is as small as it gets.

    Raises:
        AttemptLost, TransientError
    """
    level = run.job.fitted + 1
    if smaller(asked_of(run), level) == options_of(run):
        return False
    run.log.warning("The training ran out of memory: %s", error)
    _make_smaller(run, level, "since it ran out of memory")
    return True


def _make_smaller(run: JobRun, level: int, why: str) -> None:
    before = options_of(run)
    run.attempt.fit(level)
    run.job.fitted = level
    text = f"The training was made smaller {why}: {changes(before, options_of(run))}."
    run.log.warning(text)
    run.attempt.warn([{"code": "fitted", "step": STEP, "message": text}])


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
