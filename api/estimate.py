"""How long a job will still take, from how long steps took: this job's own pace, and medians of jobs that finished lately."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from storage.database import Database
from storage.tables import FINISHED, QUEUED, RUNNING, Job, now
from tasks.errors import TransientError

STEPS = ("extract", "mask", "sfm", "scale", "train", "mesh", "turntable", "export")
# options; other steps run always
ASKED_FOR_BY = {"mask": "remove_background", "scale": "apriltag_size_mm", "mesh": "mesh", "turntable": "turntable"}
LONG_STEPS = ("extract", "sfm", "train")  # without a median of these nothing is said; the others count as nothing then
LOOK_BACK_JOBS = 30
FRESH_SECONDS = 30.0
log = logging.getLogger("splatflow.api")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What is known of jobs lately.

    Attributes:
        step_seconds: median by step; of `train` per training step.
        typical_seconds: median of whole jobs; None: none finished yet.
        running: jobs at work now.
        next_free_seconds: until the first of them is done, as estimated when measured; None: not known.
    """

    step_seconds: Mapping[str, float] = field(default_factory=dict)
    typical_seconds: float | None = None
    running: int = 0
    next_free_seconds: float | None = 0.0


def remaining_seconds(job: Any, measured: Measured, moment: datetime) -> int | None:
    """Seconds from `moment` until the job is finished; None when nothing is known, or it has ended.

    Args:
        job: a job's row.
    """
    if job.state == RUNNING:
        return _rounded(_running(job, measured, moment))
    if job.state != QUEUED or job.queue_position is None:
        return None
    own = _steps(job, STEPS, measured)
    ahead = job.queue_position - 1
    if own is None or measured.next_free_seconds is None or (ahead and measured.typical_seconds is None):
        return None
    lanes = max(1, measured.running)
    return _rounded(measured.next_free_seconds + ahead * (measured.typical_seconds or 0.0) / lanes + own)


def _running(job: Any, measured: Measured, moment: datetime) -> float | None:
    if job.step not in STEPS:
        return _steps(job, STEPS, measured)
    current = STEPS.index(job.step)
    rest = _steps(job, STEPS[current + 1 :], measured)
    elapsed = max(0.0, (moment - job.step_started_at).total_seconds()) if job.step_started_at else 0.0
    if job.step_done and job.step_total and job.step_started_at:
        this = elapsed * max(0, job.step_total - job.step_done) / job.step_done
    else:
        whole = _steps(job, (job.step,), measured)
        this = None if whole is None else max(0.0, whole - elapsed)
    return None if this is None or rest is None else this + rest


def _steps(job: Any, steps: Sequence[str], measured: Measured) -> float | None:
    total = 0.0
    for step in steps:
        if step in ASKED_FOR_BY and not getattr(job, ASKED_FOR_BY[step]):
            continue
        seconds = measured.step_seconds.get(step)
        if seconds is None:
            if step in LONG_STEPS:
                return None
            continue
        total += seconds * (job.training_num_steps if step == "train" else 1)
    return total


def _rounded(seconds: float | None) -> int | None:
    return None if seconds is None else max(0, round(seconds))


def measure(finished: Sequence[Any], running: Sequence[Any], moment: datetime) -> Measured:
    """Medians over rows of finished jobs, and when the first of the running ones will be done."""
    by_step: dict[str, list[float]] = {}
    totals = []
    for job in finished:
        seconds = job.step_seconds or (job.quality or {}).get("step_seconds") or {}
        for step, value in seconds.items():
            by_step.setdefault(step, []).append(value / job.training_num_steps if step == "train" else value)
        if seconds:
            totals.append(sum(seconds.values()))
    known = Measured(
        step_seconds={step: median(values) for step, values in by_step.items()},
        typical_seconds=median(totals) if totals else None,
    )
    rests = [_running(job, known, moment) for job in running]
    told = [rest for rest in rests if rest is not None]
    return Measured(
        step_seconds=known.step_seconds,
        typical_seconds=known.typical_seconds,
        running=len(rests),
        next_free_seconds=min(told) if told else (None if rests else 0.0),
    )


class Estimates:
    """Measures anew at most every 30 s, in a thread of its own, so that no request waits for it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._measured = Measured()
        self._measured_at = float("-inf")
        self._lock = threading.Lock()

    def of(self, job: Any) -> int | None:
        """Seconds remaining for a job's row, see `remaining_seconds`."""
        if job.state not in (QUEUED, RUNNING):
            return None
        if time.monotonic() - self._measured_at > FRESH_SECONDS and self._lock.acquire(blocking=False):
            self._measured_at = time.monotonic()
            threading.Thread(target=self._refresh, name="estimates", daemon=True).start()
        return remaining_seconds(job, self._measured, now())

    def refresh(self) -> None:
        """Measures now.

        Raises:
            DatabaseUnavailable
        """
        columns = (Job.training_num_steps, Job.step_seconds, Job.quality)
        late = select(*map(col, columns)).where(col(Job.state) == FINISHED).order_by(col(Job.finished_at).desc())
        columns = (Job.training_num_steps, Job.step, Job.step_started_at, Job.step_done, Job.step_total, Job.state)
        options = (Job.remove_background, Job.apriltag_size_mm, Job.mesh, Job.turntable)
        current = select(*map(col, (*columns, *options))).where(col(Job.state) == RUNNING)
        with self._database.read() as session:
            finished = session.connection().execute(late.limit(LOOK_BACK_JOBS)).all()
            running = session.connection().execute(current).all()
        self._measured = measure(finished, running, now())

    def _refresh(self) -> None:
        try:
            self.refresh()
        except TransientError as error:
            log.warning("no estimates for now: %s", error)
        except Exception:
            log.exception("no estimates for now")
        finally:
            self._lock.release()
