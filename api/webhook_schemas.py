"""What clients send and get about webhooks."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field

from api.answers import Answer
from api.schemas import Body, without_default
from api.webhooks.address import MAX_URL_CHARACTERS

EVENTS_MESSAGE = 'events must be a list of "job.finished" and "job.failed", each once at most, and not empty.'
Event = Literal["job.finished", "job.failed"]
Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_URL_CHARACTERS,
        description="https, without user name and fragment; a public address.",
        examples=["https://hooks.example/splatflow"],
    ),
]


def _once(events: list[str]) -> list[str]:
    if len(set(events)) != len(events):
        raise ValueError
    return events


def _unique(schema: dict[str, Any]) -> None:
    schema["uniqueItems"] = True


def _unique_without_default(schema: dict[str, Any]) -> None:
    _unique(schema)
    without_default(schema)


Events = Annotated[list[Event], AfterValidator(_once), Field(min_length=1, max_length=2)]
MESSAGES = {
    "events": EVENTS_MESSAGE,
    "events.0": EVENTS_MESSAGE,
    "events.1": EVENTS_MESSAGE,
    "url:string_too_short": f"url must have 1 to {MAX_URL_CHARACTERS} characters.",
    "url:string_too_long": f"url must have 1 to {MAX_URL_CHARACTERS} characters.",
}


class WebhookRequest(Body):
    """Asks to be told of jobs' ends."""

    model_config = ConfigDict(extra="forbid")
    messages: ClassVar[dict[str, str]] = MESSAGES

    url: Url
    events: Events = Field(default=["job.finished", "job.failed"], json_schema_extra=_unique)
    active: bool = True


class WebhookChange(Body):
    """Changes to a webhook; what is absent stays."""

    model_config = ConfigDict(extra="forbid")
    messages: ClassVar[dict[str, str]] = MESSAGES

    url: Url = Field(default="", json_schema_extra=without_default)
    events: Events = Field(default=[], json_schema_extra=_unique_without_default)
    active: bool = Field(
        default=True,
        description="false: nothing is sent, and what waits is given up.",
        json_schema_extra=without_default,
    )


class WebhookAnswer(Answer):
    webhook_id: UUID
    url: str
    events: list[Event]
    active: bool
    created_at: datetime


class WebhookMade(WebhookAnswer):
    secret: str = Field(description="Signs what is sent. It is shown this once.", examples=["whsec_..."])


class DeliveryAnswer(Answer):
    """Something that is told to a webhook, and what came of it."""

    delivery_id: UUID = Field(description="As in the header Splatflow-Delivery: the same at every try.")
    event: Literal["job.finished", "job.failed", "ping"]
    job_id: UUID | None = Field(description="Null: a ping.")
    state: Literal["waiting", "delivered", "failed"]
    tries: int = Field(ge=0)
    status_code: int | None = Field(description="Of the last try; null: there was no answer.")
    error: str | None = Field(description="A sentence: what was wrong with the last try.")
    created_at: datetime = Field(description="Since when it is tried.")
    next_try_at: datetime | None = Field(description="Null: there will be none.")
    ended_at: datetime | None
