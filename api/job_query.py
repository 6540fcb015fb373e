"""The query of the job list."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from api.errors import bad_value
from storage.tables import FAILED, FINISHED, QUEUED, RUNNING

STATES = {"queued": (QUEUED,), "processing": (RUNNING,), "finished": (FINISHED,), "failed": (FAILED,)}
MAX_LIMIT = 1000
MAX_DETAILS = 100
MAX_OFFSET = 2**31 - 1


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


PARAMETERS: list[dict[str, Any]] = [
    _parameter("status", "Only jobs in this state.", {"type": "string", "enum": list(STATES)}),
    _parameter("public", "Only public, or only private jobs.", {"type": "boolean"}),
    _parameter("limit", "At most so many; all when absent.", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}),
    _parameter(
        "detail", "true: the whole details in place of id and title; then limit is 100 at most.", {"type": "boolean"}
    ),
    _parameter("offset", "Leave out so many of the newest.", {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET}),
]


@dataclass(frozen=True, kw_only=True)
class JobQuery:
    """Which jobs to list; None: no matter, or all."""

    states: Sequence[str] | None
    public: bool | None
    limit: int | None
    offset: int
    detail: bool


def read_query(query: QueryParams) -> JobQuery:
    """The query of a request.

    Raises:
        ApiError: 400; a value that can't be used.
    """
    status = query.get("status")
    if status is not None and status not in STATES:
        raise bad_value(f"status must be one of {', '.join(STATES)}.", "status")
    public, detail = flag(query, "public"), flag(query, "detail") or False
    limit = whole_number(query, "limit", 1, MAX_DETAILS if detail else MAX_LIMIT)
    return JobQuery(
        states=None if status is None else STATES[status],
        public=public,
        limit=MAX_DETAILS if detail and limit is None else limit,
        offset=whole_number(query, "offset", 0, MAX_OFFSET) or 0,
        detail=detail,
    )


def flag(query: QueryParams, name: str) -> bool | None:
    """A parameter that is true or false; None when it isn't there.

    Raises:
        ApiError: 400; it is something else.
    """
    text = query.get(name)
    if text is None:
        return None
    if text.lower() not in ("true", "false"):
        raise bad_value(f"{name} must be true or false.", name)
    return text.lower() == "true"


def whole_number(query: QueryParams, name: str, least: int, most: int) -> int | None:
    """A parameter that is an integer from `least` to `most`; None when it isn't there.

    Raises:
        ApiError: 400; it is something else.
    """
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and least <= int(text) <= most):
        raise bad_value(f"{name} must be an integer from {least} to {most}.", name)
    return int(text)
