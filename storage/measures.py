"""What is counted for operators, see `storage.tally`. Labels have few values, all known here: never a job, an account or a text."""

import inspect

from storage.tally import Change, Count, Level, Spread
from tasks import errors

FINISHED, FAILED, CANCELLED, LOST, DELETED = "finished", "failed", "cancelled", "lost", "deleted"
START, RESUME = "start", "resume"
OTHER = "other"
DELIVERED, RETRIED = "delivered", "retried"
CPU, CUDA = "cpu", "cuda"

# Not errors of the tree: what the dispatcher says of runs that died, of defects, and of our own services.
_MORE_SLUGS = ("crashed", "internal", "database_unavailable", "store_unavailable")
_ERRORS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.SplatflowError)]
SLUGS = tuple(sorted({*(kind.slug for kind in _ERRORS), *_MORE_SLUGS}))
STEPS = ("extract", "mask", "sfm", "scale", "train", "mesh", "turntable", "export")
STEPS_ON_A_GPU = ("mask", "train", "mesh", "turntable")

ENDED = Count(
    name="splatflow_jobs_ended",
    help="Jobs that came to an end, by how; a job that is retried ends again.",
    labels=("outcome",),
    known=tuple((outcome,) for outcome in (FINISHED, FAILED, CANCELLED, LOST, DELETED)),
)
FAILURES = Count(
    name="splatflow_job_failures",
    help="Jobs that failed, by error code; cancelled ones are not among them.",
    labels=("slug",),
    known=tuple((slug,) for slug in (*SLUGS, OTHER)),
)
DEATHS = Count(
    name="splatflow_attempts_died", help="Attempts that ended without a word: killed, or their host is gone."
)
WEBHOOKS = Count(
    name="splatflow_webhook_tries",
    help="Tries to tell webhooks, by outcome: heard, to be tried again, or given up.",
    labels=("outcome",),
    known=tuple((outcome,) for outcome in (DELIVERED, RETRIED, FAILED)),
)
WAIT = Spread(
    name="splatflow_queue_wait_seconds",
    help="From the moment that a job could begin until a run began with it, or (resume) went on with it.",
    labels=("kind",),
    known=((START,), (RESUME,)),
    bounds=(1, 3, 10, 30, 60, 180, 600, 1800, 3600, 10800, 43200),
)
STEP_SECONDS = Spread(
    name="splatflow_step_seconds",
    help="Seconds that finished steps took, by step and by the device that they held.",
    labels=("step", "device"),
    known=(*((step, CPU) for step in STEPS), *((step, CUDA) for step in STEPS_ON_A_GPU)),
    bounds=(0.5, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 3600, 10800),
)
STORE_BYTES = Level(
    name="splatflow_store_bytes",
    help="Bytes in the object store at the last look, by what they are.",
    labels=("class",),
)
STORE_MEASURED = Level(
    name="splatflow_store_measured_timestamp_seconds", help="When the object store was looked at last, in Unix time."
)
COLLECTED = Count(
    name="splatflow_collected_bytes",
    help="Bytes that housekeeping removed, by what they were.",
    labels=("class",),
    known=tuple(
        (kind,)
        for kind in ("uploads", "sources", "steps", "checkpoints", "outputs", "previews", OTHER, "unfinished", "work")
    ),
)
STORE_UNACCOUNTED = Level(
    name="splatflow_store_unaccounted_bytes",
    help="Bytes in the object store at the last look beyond what rows account for; less than 0: something is missing.",
)

COUNTS, LEVELS, SPREADS = (
    (ENDED, FAILURES, DEATHS, WEBHOOKS, COLLECTED),
    (STORE_BYTES, STORE_MEASURED, STORE_UNACCOUNTED),
    (WAIT, STEP_SECONDS),
)


def failed(error_code: str) -> list[Change]:
    """A job failed with this code."""
    slug = error_code if error_code in SLUGS else OTHER
    return [*ENDED.one(outcome=FAILED), *FAILURES.one(slug=slug)]


def step_took(step: str, device: str, seconds: float) -> list[Change]:
    """A step was finished."""
    step = step if step in STEPS else OTHER
    return STEP_SECONDS.of(seconds, step=step, device=device if device == CUDA else CPU)
