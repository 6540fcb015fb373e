"""The tables. Rows only: what clients see of them is made in `api.schemas` and `api.present`."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, BigInteger, Column, DateTime, Double, Index, Text, TypeDecorator
from sqlmodel import Field, SQLModel

# Job.state
QUEUED, RUNNING, FINISHED, FAILED, LOST = "queued", "running", "finished", "failed", "lost"
OPEN_STATES = (QUEUED, RUNNING)

# Job.priority: what a person waits for goes before what runs by night
INTERACTIVE, BATCH = "interactive", "batch"
PRIORITIES = (INTERACTIVE, BATCH)

# Outbox.kind
START, STOP, DELETE, TIDY = "start", "stop", "delete", "tidy"


def now() -> datetime:
    """This moment in UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """UTC in, UTC out: SQLite keeps no time zone, and PostgreSQL answers in the session's."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Account(SQLModel, table=True):
    """Who owns jobs. `plan` is "enterprise" or "free"; only the former may use the API.

    Attributes:
        quotas: by name, see `storage.quotas`; the settings' where one is missing.
        spent_seconds: of processing that the rows of jobs no longer tell, by month ("2026-11").
    """

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    name: str = Field(unique=True, max_length=255)
    plan: str = "enterprise"
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    quotas: dict[str, int] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False, server_default="{}"))
    spent_seconds: dict[str, float] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, server_default="{}")
    )


class ApiKey(SQLModel, table=True):
    """A key of an account. The secret itself is nowhere: only its SHA-256."""

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    account_id: UUID = Field(foreign_key="account.id", index=True)
    name: str = Field(max_length=255)
    secret_sha256: str = Field(unique=True, max_length=64)
    scope: str = "write"  # "read" or "write"
    limits: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))  # class -> "5/minute"
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Upload(SQLModel, table=True):
    """An upload URL that was given out. `blob_name` is the object's key."""

    blob_name: str = Field(primary_key=True, max_length=255)
    account_id: UUID = Field(foreign_key="account.id", index=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    submitted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Job(SQLModel, table=True):
    """A reconstruction: what was asked for, how far it is, and what came of it.

    `attempt` counts the runs made for it; `run_id` is the Prefect flow run of this attempt. While one is at work it holds
    `lease_token`, and `lease_beat` counts up: whoever writes must name attempt and token (see `storage.attempts`).
    `revision` counts every change that a client can see.

    `reprocess_of`: this row is a try at a better result for that job, which stays finished meanwhile and says so in `reprocessing`.
    Clients never see such a row; its objects are under the other's prefix, and it goes on from the other's finished steps.
    `expired_at`: when its outputs were removed since they had been kept for as long as they are to be; of a failed job, all it left.
    `source_bytes`: of its upload; 0 when that was removed for the same reason.
    """

    __table_args__ = (
        Index("ix_job_account_created", "account_id", "deleted_at", "reprocess_of", "created_at", "id"),
        Index("ix_job_state", "state", "deleted_at", "queued_at"),  # all that is asked for when jobs are counted
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    account_id: UUID = Field(foreign_key="account.id")
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    title: str = Field(max_length=255)
    public: bool = False
    blob_name: str = Field(max_length=255, index=True)
    source_key: str = Field(max_length=255)
    source_bytes: int = Field(default=0, sa_type=BigInteger)
    reconstruction_method: str = "glomap"
    training_max_num_gaussians: int = 1_000_000
    training_num_steps: int = 25_000
    apriltag_size_mm: float | None = None
    remove_background: bool = False
    mesh: bool = False
    turntable: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    priority: str = INTERACTIVE
    reprocess_of: UUID | None = Field(default=None, index=True)
    batch_id: UUID | None = None
    reprocessing: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    fitted: int = 0  # how often it was made smaller, since its training did not fit the memory
    expired_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    camera_type: str | None = None
    max_frames: int | None = None
    train_side_px: int | None = None
    camera_set: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    camera_computed: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))

    state: str = QUEUED
    queued_at: datetime | None = Field(default_factory=now, sa_type=UtcDateTime)  # since when it could be started
    step: str | None = None
    percent: int | None = None
    step_started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    step_done: int | None = None  # of step_total, in the step's own units
    step_total: int | None = None
    step_seconds: dict[str, float] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    queue_position: int | None = None
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    error_code: str | None = None
    error_message: str | None = Field(default=None, sa_type=Text)
    warnings: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    scale: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    quality: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    # kind -> {"key", "bytes", "sha256"}
    files: dict[str, dict[str, Any]] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    preview_key: str | None = None

    attempt: int = 1
    crashes: int = 0
    run_id: UUID | None = Field(default=None, index=True)
    lease_token: UUID | None = None
    lease_beat: int = 0
    revision: int = 1


class Outbox(SQLModel, table=True):
    """What the dispatcher still has to do at Prefect or the object store, in the order it was asked for.

    Attributes:
        kind: "start" (make the attempt's run), "stop" (end the run), "delete" (remove all of a job) or "tidy" (remove those
            of its outputs that no row names).
        job_id: no foreign key: a deletion outlives the row.
        run_id: the run to stop.
        attempt: the attempt to start.
        due_at: not before; a failed try comes again later.
    """

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    job_id: UUID = Field(index=True)
    run_id: UUID | None = None
    attempt: int | None = None
    tries: int = 0
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    due_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)


class IdempotentSubmit(SQLModel, table=True):
    """The first answer to a submit with an `Idempotency-Key`, by account."""

    account_id: UUID = Field(foreign_key="account.id", primary_key=True)
    key: str = Field(primary_key=True, max_length=255)
    body_sha256: str = Field(max_length=64)
    job_id: UUID
    answer: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)


class Slot(SQLModel, table=True):
    """A GPU, or the one CPU slot, of a host, held by an attempt for as long as that attempt holds its job."""

    name: str = Field(primary_key=True, max_length=255)  # "<host>/cuda:0"
    job_id: UUID
    attempt: int
    lease_token: UUID


class Leader(SQLModel, table=True):
    """Which dispatcher acts. `beat` counts up while it lives; another takes over when it stands still."""

    name: str = Field(primary_key=True, max_length=64)
    token: UUID
    beat: int = 0


class Action(SQLModel, table=True):
    """What was done about a job that did not get on by itself; see `storage.actions`.

    Attributes:
        job_id: no foreign key: what was done is told also of jobs that were deleted since.
        attempt, run_id: that it was done about.
        silent_seconds: for how long the attempt had shown no life.
    """

    id: int | None = Field(default=None, primary_key=True)
    done_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)
    job_id: UUID = Field(index=True)
    attempt: int
    run_id: UUID | None = None
    kind: str = Field(max_length=32)
    reason: str = Field(max_length=255)
    silent_seconds: float | None = Field(default=None, sa_type=Double)


class Tally(SQLModel, table=True):
    """A figure for operators that only grows, or the last measured one; see `storage.tally`.

    Attributes:
        labels: JSON, by name in order, so that the same labels are the same row.
        part: of a histogram, the upper bound of a bucket or "sum"; else empty.
    """

    name: str = Field(primary_key=True, max_length=64)
    labels: str = Field(primary_key=True, max_length=255)
    part: str = Field(primary_key=True, max_length=16)
    value: float = Field(default=0.0, sa_type=Double)


class Batch(SQLModel, table=True):
    """A reprocessing of many jobs: what was asked for, and how far it is.

    Attributes:
        account_id: whose jobs; None: an operator's, over all accounts.
        spec: which jobs, which options change, how many at once, when better is better; see `flows.reprocess`.
        state: "running", "finished" or "cancelled".
    """

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    account_id: UUID | None = Field(default=None, foreign_key="account.id", index=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    state: str = "running"
    spec: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class BatchItem(SQLModel, table=True):
    """One job of a batch.

    Attributes:
        job_id: the job; no foreign key: what a batch did is told also of jobs that were deleted since.
        shadow_id: the row that makes the new result, see `Job.reprocess_of`.
        state: "waiting", "running", "replaced", "kept", "failed" or "skipped".
        before, after: quality of the old and the new result.
    """

    batch_id: UUID = Field(foreign_key="batch.id", primary_key=True)
    job_id: UUID = Field(primary_key=True)
    shadow_id: UUID | None = None
    state: str = Field(default="waiting", index=True)
    before: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    after: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    reason: str | None = Field(default=None, sa_type=Text)


class Webhook(SQLModel, table=True):
    """Where an account wants to be told of its jobs' ends. The secret that signs is in no column: it is made of the service's own
    and `salt`.
    """

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    account_id: UUID = Field(foreign_key="account.id", index=True)
    url: str = Field(max_length=2048)
    events: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    salt: str = Field(max_length=64)
    active: bool = True
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class WebhookDelivery(SQLModel, table=True):
    """One telling, tried until it is heard or a day has passed.

    Attributes:
        job_id: no foreign key; of no job in a ping, whose `job_id` is all zeros.
        body: what is told, with the job's row as it was at its end; see `storage.webhooks.announce`.
        state: "waiting", "delivered" or "failed".
        tries: counted when they begin.
        created_at: since when it is tried; of one that is sent again on request, since then.
        due_at: of the next try; while one is under way, when that is taken for dead.
        status_code, error: of the last try.
    """

    __table_args__ = (
        Index("ix_webhookdelivery_due", "state", "due_at"),
        Index("ix_webhookdelivery_log", "webhook_id", "created_at", "id"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    webhook_id: UUID = Field(foreign_key="webhook.id")
    job_id: UUID = Field(index=True)
    event: str = Field(max_length=32)
    body: str = Field(sa_type=Text)
    state: str = "waiting"
    tries: int = 0
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    due_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    status_code: int | None = None
    error: str | None = Field(default=None, max_length=255)
