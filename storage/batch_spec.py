"""What a batch is asked for: which jobs, which of their options change, how many at once, when, and when better is better.

The same model reads the body of a request and the parameters of the flow, and is what `Batch.spec` holds. Types are strict: no text
is taken for a number, no boolean for one.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from storage import hours as opening
from storage.tables import BATCH

MAX_JOBS = 5_000  # in one batch


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError("must be the id of a job") from None


def _hours(text: str) -> str:
    opening.parse(text)
    return text


def _zone(text: str) -> str:
    opening.zone(text)
    return text


def _method(text: str) -> str:
    if text.lower() not in ("glomap", "colmap"):
        raise ValueError('must be "glomap" or "colmap"')
    return text.lower()


def _turntable(value: Any) -> Any:
    """True is a turntable as usual, false is none."""
    return {} if value is True else None if value is False else value


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")


class Turntable(_Part):
    """A video along a path about the scene's first view, see `api.schemas.TurntableRequest`."""

    seconds: float = Field(default=6.0, ge=1, le=60)
    side_px: int = Field(default=960, ge=160, le=1_920)
    path: Literal["auto", "orbit", "sway"] = "auto"


class JobOptions(_Part):
    """Options of a job that change; those that are not sent stay as the job has them. Ranges as in a submit."""

    reconstruction_method: Annotated[str, AfterValidator(_method)] = Field(default="glomap")
    training_max_num_gaussians: int = Field(default=1_000_000, ge=1_000, le=5_000_000)
    training_num_steps: int = Field(default=25_000, ge=100, le=100_000)
    apriltag_size_mm: float | None = Field(default=None, ge=1, le=1000)
    remove_background: bool = False
    mesh: bool = False
    turntable: Annotated[
        Turntable | None, BeforeValidator(_turntable, json_schema_input_type=bool | Turntable | None)
    ] = None
    max_frames: int | None = Field(default=None, ge=3, le=5_000)
    train_side_px: int | None = Field(default=None, ge=32, le=1_600)


class Selection(_Part):
    """Which jobs; what is left out doesn't matter, and an empty one is all that are finished."""

    status: Literal["finished", "failed"] = "finished"
    older_than_days: float | None = Field(
        default=None, ge=0, le=36_500, description="Submitted so long ago, or longer."
    )
    title: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="A pattern of the whole title: * is any text, ? any character, [ab] one of these.",
        examples=["kitchen*"],
    )
    job_ids: list[Annotated[str, AfterValidator(_uuid)]] | None = Field(default=None, min_length=1, max_length=MAX_JOBS)
    pipeline: list[Annotated[str, Field(pattern="^[0-9a-f]{16}$")]] | None = Field(
        default=None, min_length=1, max_length=20, description="Made by one of these versions (`quality.pipeline`)."
    )
    not_pipeline: list[Annotated[str, Field(pattern="^[0-9a-f]{16}$")]] | None = Field(
        default=None, min_length=1, max_length=20, description="Made by none of these versions, or by an unknown one."
    )


class BatchSpec(_Part):
    """A batch."""

    jobs: Selection
    set: JobOptions = Field(default_factory=JobOptions, description="Options that change.")
    at_once: int = Field(default=1, ge=1, le=64, description="So many jobs at a time.")
    priority: Literal["interactive", "batch"] = BATCH
    hours: Annotated[str, AfterValidator(_hours)] | None = Field(
        default=None,
        description="When jobs may begin; what has begun goes on.",
        examples=["22:00-06:00"],
        json_schema_extra={"anyOf": [{"type": "string", "pattern": opening.PATTERN}, {"type": "null"}]},
    )
    time_zone: Annotated[str, AfterValidator(_zone)] = Field(default="UTC", examples=["Europe/Berlin"])
    rule: Literal["better", "always", "never"] = Field(
        default="better",
        description="When the new result replaces the old one: better by held-out PSNR, always, or never (measure only).",
    )
    epsilon_db: float = Field(default=0.0, ge=0, le=20, description="better: by so much at least.")

    def row(self) -> dict[str, Any]:
        """As `Batch.spec` holds it, in JSON's types; of `set` what was sent."""
        return {**self.model_dump(mode="json", exclude={"set", "dry_run"}), "set": self.changes()}

    def changes(self) -> dict[str, Any]:
        """The columns of a job that change."""
        return self.set.model_dump(mode="json", include=self.set.model_fields_set)


def changed(spec: Mapping[str, Any], job: Any) -> dict[str, Any]:
    """The options of a batch's spec that differ from what the job has.

    Args:
        job: a job's row.
    """
    return {name: value for name, value in spec["set"].items() if getattr(job, name) != value}
