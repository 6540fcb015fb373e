"""What clients get, for the API's description. `api.present` makes it from rows."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(ge=0)]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErrorAnswer(Answer):
    """Why a request was refused: a sentence for people, a stable code for programs."""

    error: str
    code: str
    field: str = Field(default="", description="Which field it is about; not in every answer.")


class SubmitErrorAnswer(ErrorAnswer):
    """The same, with what clients of submit-job read besides."""

    success: Literal[False]
    error_message: str


class UploadAnswer(Answer):
    url: str = Field(description="PUT the file here; it needs no key.")
    blob_name: str = Field(description="What to submit.", examples=["videos/6f1c2f0e-4a7b-4f0a-9a53-6f6f9d3a1c55.mp4"])


class FileUrlAnswer(Answer):
    url: str | None = Field(description="Signed; valid for 15 minutes, needs no key. Null: there is no preview yet.")


class JobEntry(Answer):
    job_id: UUID
    title: str


class Vector(Answer):
    x: float
    y: float
    z: float


class Camera(Answer):
    """In the Y-up frame of the SPZ file: a PLY point (x, y, z) is (x, -y, -z) here."""

    position: Vector
    lookAt: Vector
    up: Vector
    cameraType: Literal["orbital", "drone"] = "drone"


class Warning(BaseModel):
    """Something that went differently from what was asked for or expected."""

    model_config = ConfigDict(extra="allow")

    code: str
    message: str


class File(Answer):
    bytes: int = Field(ge=0)
    sha256: str | None


class Turntable(Answer):
    """The video that was asked for."""

    seconds: float
    side_px: int
    path: Literal["auto", "orbit", "sway"]


class Reprocessing(Answer):
    """A better result is being tried for; the job keeps the one that it has meanwhile."""

    batch_id: UUID
    state: Literal["queued", "running"]
    percent: int | None = Field(ge=0, le=100)
    started_at: datetime | None


class JobDetail(Answer):
    job_id: UUID
    title: str
    status: str = Field(
        description="Queued, Queued - position: X, Processing video, Generating 3D scene, Finished, Failed or Not found.",
        examples=["Generating 3D scene"],
    )
    percent_complete: int | None = Field(ge=0, le=100, description="Of the training; null before.")
    uploaded_at: datetime
    public: bool
    reconstruction_method: str
    training_max_num_gaussians: int
    training_num_steps: int
    remove_background: bool
    has_ply: bool
    has_spz: bool
    camera_data: Camera | None = Field(description="Null until known.")
    current_step: str | None
    step_percent: int | None = Field(ge=0, le=100, description="Of the current step; null when it does not say.")
    queue_position: int | None
    estimated_time_remaining: int | None = Field(description="Seconds; null when nothing is known.")
    error_code: str | None
    error_message: str | None
    warnings: list[Warning]
    apriltag_size_mm: float | None
    mesh: bool
    turntable: Turntable | None
    camera_type: Literal["orbital", "drone"] | None
    max_frames: int | None
    train_side_px: int | None
    priority: Literal["interactive", "batch"]
    scale: dict[str, Any] | None = Field(
        description="What the tags say: status, metres_per_unit (applied to all files already), relative_uncertainty, "
        "interval_95, tags, views_used. Null until the job is finished, and without apriltag_size_mm."
    )
    quality: dict[str, Any] | None
    files: dict[str, File] = Field(description="What can be downloaded, by kind.")
    started_at: datetime | None
    finished_at: datetime | None
    viewer_url: str | None
    run_url: str | None = Field(description="Of its run in Prefect's UI; null without a run, or where none is shown.")
    reprocessing: Reprocessing | None = Field(description="Null unless a batch is at work on the job.")
    expired_at: datetime | None = Field(
        description="When its files were removed, as they had been kept for as long as files are; null while they are there."
    )


class SubmitAnswer(JobDetail):
    success: Literal[True]


class Rates(Answer):
    read: str = Field(examples=["120000/minute"])
    write: str
    submit: str
    max_upload_bytes: int
    max_body_bytes: int
    upload_url_seconds: int
    download_url_seconds: int
    max_webhooks: int
    disk_low_bytes: int | None = Field(
        description="With less free space on the store's disk no uploads are taken; null: not looked at."
    )


class Usage(Answer):
    jobs: int
    bytes: int
    processing_seconds_this_month: Seconds


class Quota(Answer):
    limit: int | None = Field(description="Null: any amount.")
    used: float


class Quotas(Answer):
    """What the account may use, and what it uses."""

    running: Quota = Field(description="Jobs at work at a time; more of them only wait.")
    queued: Quota = Field(description="Jobs that wait.")
    bytes: Quota = Field(description="Videos and files of jobs.")
    hours: Quota = Field(description="Of processing this month (UTC).")


class Retention(Answer):
    """Days after its end for which what a job has is kept; null: for ever."""

    keep_uploads_days: float | None
    keep_steps_days: float | None
    keep_outputs_days: float | None
    keep_failed_days: float | None


class AccountAnswer(Answer):
    name: str
    plan: str
    limits: Rates
    usage: Usage
    quotas: Quotas
    retention: Retention


class AliveAnswer(Answer):
    status: Literal["alive"]


class ReadyAnswer(Answer):
    status: Literal["ready", "not ready"]
    parts: dict[str, str] = Field(description="Each part: ok, or what is wrong.")
