"""What clients send and get about batches."""

from datetime import datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from api.answers import Answer
from api.schemas import Body
from storage.batch_spec import MAX_JOBS, BatchSpec

NUMBER_OF_IDS = f"jobs.job_ids must have 1 to {MAX_JOBS} ids."
VERSION = "must be versions of 16 hexadecimal digits, as quality.pipeline has them"


class BatchRequest(Body, BatchSpec):
    """Asks that jobs are made again, and that what is better is kept."""

    model_config = ConfigDict(extra="forbid")
    messages: ClassVar[dict[str, str]] = {
        "jobs:missing": "jobs is required; {} stands for all finished jobs.",
        "jobs.status": 'Invalid status. Must be "finished" or "failed".',
        "jobs.job_ids:too_short": NUMBER_OF_IDS,
        "jobs.job_ids:too_long": NUMBER_OF_IDS,
        "jobs.pipeline": f"jobs.pipeline {VERSION}.",
        "jobs.not_pipeline": f"jobs.not_pipeline {VERSION}.",
        "set.turntable": "set.turntable must be true, false, or an object of seconds, side_px and path.",
        "rule": 'Invalid rule. Must be "better", "always" or "never".',
        "priority": 'Invalid priority. Must be "interactive" or "batch".',
    }

    dry_run: bool = Field(default=False, description="Only say what would be done; nothing is made.")


class Counts(Answer):
    """How many jobs are in which state."""

    waiting: int
    running: int
    replaced: int = Field(description="The new result is the job's now.")
    kept: int = Field(description="The old result stays.")
    failed: int = Field(description="There was no new result; the old one stays.")
    skipped: int


class BatchAnswer(Answer):
    batch_id: UUID
    state: Literal["running", "finished", "cancelled"]
    created_at: datetime
    finished_at: datetime | None
    counts: Counts
    jobs: dict[str, Any] = Field(description="As asked for.")
    set: dict[str, Any]
    at_once: int
    priority: Literal["interactive", "batch"]
    hours: str | None
    time_zone: str
    rule: Literal["better", "always", "never"]
    epsilon_db: float


class ItemAnswer(Answer):
    """One job of a batch."""

    job_id: UUID
    title: str | None = Field(description="Null: the job was deleted.")
    state: Literal["waiting", "running", "replaced", "kept", "failed", "skipped"]
    before: dict[str, Any] | None = Field(description="Figures and options of the old result.")
    after: dict[str, Any] | None = Field(description="The same of the new one.")
    reason: str | None = Field(description="A sentence: why it is in this state.")


class BatchDetail(BatchAnswer):
    items: list[ItemAnswer] = Field(description="A page of them, the oldest job first.")


class PlannedItem(Answer):
    """What would be done with one job."""

    job_id: UUID
    title: str
    skipped: str | None = Field(description="Why nothing would be done; null: something would.")
    steps_reused: list[str] = Field(description="As long as the code of these steps is as it was.")
    steps_run: list[str]
    estimated_seconds: int | None


class PlanAnswer(Answer):
    """What a batch would do; nothing was made."""

    dry_run: Literal[True]
    total: int = Field(description="Jobs that match.")
    skipped: int
    estimated_seconds: int | None = Field(
        description="From the first to the last job, within the hours; null: unknown."
    )
    items: list[PlannedItem] = Field(description="The first 100.")
