"""The query of the job list."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from api.errors import bad_value
from storage.tables import FAILED, FINISHED, QUEUED, RUNNING

STATES = {"queued": (QUEUED,), "processing": (RUNNING,), "finished": (FINISHED,), "failed": (FAILED,)}
MAX_LIMIT = 1000
MAX_OFFSET = 2**31 - 1


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


PARAMETERS: list[dict[str, Any]] = [
    _parameter("status", "Only jobs in this state.", {"type": "string", "enum": list(STATES)}),
    _parameter("public", "Only public, or only private jobs.", {"type": "boolean"}),
    _parameter("limit", "At most so many; all when absent.", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}),
    _parameter("offset", "Leave out so many of the newest.", {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET}),
]


@dataclass(frozen=True, kw_only=True)
class JobQuery:
    """Which jobs to list; None: no matter, or all."""

    states: Sequence[str] | None
    public: bool | None
    limit: int | None
    offset: int


def read_query(query: QueryParams) -> JobQuery:
    """The query of a request.

    Raises:
        ApiError: 400; a value that can't be used.
    """
    status, public = query.get("status"), query.get("public")
    if status is not None and status not in STATES:
        raise bad_value(f"status must be one of {', '.join(STATES)}.", "status")
    if public is not None and public.lower() not in ("true", "false"):
        raise bad_value("public must be true or false.", "public")
    return JobQuery(
        states=None if status is None else STATES[status],
        public=None if public is None else public.lower() == "true",
        limit=_number(query, "limit", 1, MAX_LIMIT),
        offset=_number(query, "offset", 0, MAX_OFFSET) or 0,
    )


def _number(query: QueryParams, name: str, least: int, most: int) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and least <= int(text) <= most):
        raise bad_value(f"{name} must be an integer from {least} to {most}.", name)
    return int(text)
