"""What a batch would do: which steps of a job are used again and which are run, and how long that takes.

Known here is which options a step depends on and what is in the store. Whether the code of a step has changed since is not: the run
finds out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from api.estimate import ASKED_FOR_BY, LONG_STEPS, STEPS
from storage import batch_spec, batch_work, naming
from storage.objects import ObjectStore

LOOKED_INTO = 100  # jobs whose objects are looked at; of the others it is assumed that they are all there
OPTIONS_OF = {
    "extract": ("max_frames",),
    "mask": ("remove_background",),
    "sfm": ("reconstruction_method",),
    "scale": ("apriltag_size_mm",),
    "train": ("training_num_steps", "training_max_num_gaussians", "train_side_px"),
    "mesh": ("mesh",),
    "turntable": ("turntable",),
}
NEEDED_BY = {
    "mask": ("extract",),
    "sfm": ("extract", "mask"),
    "scale": ("sfm",),
    "train": ("sfm",),
    "mesh": ("train", "scale"),
    "turntable": ("train",),
}


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What would be done with a job.

    Attributes:
        skipped: why nothing would be done; None: something would.
        seconds: about how long it takes; None: nothing is known.
    """

    job: Any
    skipped: str | None
    reused: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    seconds: float | None = None


def plan(objects: ObjectStore, spec: dict[str, Any], jobs: Sequence[Any]) -> list[Planned]:
    """What would be done with each job, in their order.

    Args:
        jobs: rows.

    Raises:
        StoreUnavailable
    """
    usual = _usual_seconds(jobs)
    found = []
    for number, job in enumerate(jobs):
        near = number < LOOKED_INTO
        reason = batch_work.unfit(spec, job, near and batch_work.source_missing(objects, spec, job))
        if reason is not None:
            found.append(Planned(job=job, skipped=reason))
            continue
        reused, run = steps(spec, job, stored(objects, job) if near else set(STEPS))
        seconds = _seconds(spec, job, run, usual)
        found.append(Planned(job=job, skipped=None, reused=tuple(reused), run=tuple(run), seconds=seconds))
    return found


def total_seconds(planned: Sequence[Planned], at_once: int) -> int | None:
    """How long all of it takes; None when that of one job is not known."""
    parts = [one.seconds for one in planned if one.skipped is None]
    known = [part for part in parts if part is not None]
    return round(sum(known) / min(at_once, max(1, len(known)))) if len(known) == len(parts) else None


def stored(objects: ObjectStore, job: Any) -> set[str]:
    """The steps of which the store has an output."""
    return {key.split("/")[3] for key in objects.keys(f"{naming.job_prefix(job.id)}steps/")}


def steps(spec: dict[str, Any], job: Any, there: set[str]) -> tuple[list[str], list[str]]:
    """Steps that are used again, and steps that are run.

    Args:
        there: steps with an output in the store.
    """
    changed = batch_spec.changed(spec, job)
    wanted = {name: changed.get(name, getattr(job, name)) for names in OPTIONS_OF.values() for name in names}
    other: set[str] = set()
    for step in STEPS:
        if changed.keys() & set(OPTIONS_OF.get(step, ())) or other & set(NEEDED_BY.get(step, ())):
            other.add(step)
    asked = [step for step in STEPS if step not in ASKED_FOR_BY or wanted[ASKED_FOR_BY[step]]]
    run = [step for step in asked if step in other or step == "export" or step not in there]
    return [step for step in asked if step not in run], run


def _seconds(spec: dict[str, Any], job: Any, run: list[str], usual: dict[str, float]) -> float | None:
    total, before = 0.0, _step_seconds(job)
    for step in run:
        seconds = before.get(step)
        if seconds is not None and step == "train":
            seconds *= spec["set"].get("training_num_steps", job.training_num_steps) / job.training_num_steps
        seconds = usual.get(step) if seconds is None else seconds
        if seconds is None and step in LONG_STEPS:
            return None
        total += seconds or 0.0
    return total


def _usual_seconds(jobs: Sequence[Any]) -> dict[str, float]:
    by_step: dict[str, list[float]] = {}
    for job in jobs:
        for step, seconds in _step_seconds(job).items():
            by_step.setdefault(step, []).append(seconds)
    return {step: median(values) for step, values in by_step.items()}


def _step_seconds(job: Any) -> dict[str, float]:
    return job.step_seconds or (job.quality or {}).get("step_seconds") or {}
