"""Reading a JSON body strictly: what can't be a sound value is refused here, before any field is looked at."""

import json
import math
from typing import Any

from starlette.requests import ClientDisconnect, Request

from api.errors import ApiError, bad_json, bad_value, body_too_large
from api.text import shown

MAX_DEPTH = 32


async def read_object(request: Request, *, max_bytes: int) -> dict[str, Any] | None:
    """The body as a JSON object; None when there is no body.

    Raises:
        ApiError: 413 longer than `max_bytes`; 415 not JSON by its Content-Type; 400 malformed, or no object.
    """
    body = await read_body(request, max_bytes=max_bytes)
    if not body:
        return None
    if not is_json(request.headers.get("content-type", "")):
        raise ApiError(415, "unsupported_media_type", "Send the body as JSON, with Content-Type: application/json.")
    return parse_object(body)


async def read_body(request: Request, *, max_bytes: int) -> bytes:
    """The body, whatever it is.

    Raises:
        ApiError: 413 longer than `max_bytes`.
    """
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > max_bytes):
        raise body_too_large(max_bytes)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise body_too_large(max_bytes)
    except ClientDisconnect:
        raise bad_json("The body ended early.") from None
    return bytes(body)


def is_json(content_type: str) -> bool:
    """Whether a Content-Type says JSON."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; of a name that comes twice the last value counts.

    Raises:
        ApiError: 400; not UTF-8, not JSON, no object, nested too deeply, or with NaN, Infinity, a number out of range or a lone
            surrogate in it.
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=float)
    except UnicodeDecodeError:
        raise bad_json("The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise bad_json(f"The body is not JSON: line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise bad_json(f"The body is nested deeper than {MAX_DEPTH} levels.") from None
    except ValueError:  # Python refuses to read integers of thousands of digits
        raise bad_json("The body holds a number that is out of range.") from None
    if not isinstance(value, dict):
        raise bad_json("The body must be a JSON object.")
    for name, part in value.items():
        _check(name, "body")
        _check(part, shown(name))
    return value


def _check(value: Any, field: str) -> None:
    stack = [(value, 2)]
    while stack:
        item, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise bad_json(f"The body is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(item, dict):
            stack += [(part, depth + 1) for pair in item.items() for part in pair]
        elif isinstance(item, list):
            stack += [(part, depth + 1) for part in item]
        elif isinstance(item, str):
            if not item.isascii() and any("\ud800" <= c <= "\udfff" for c in item):
                raise bad_value(f"{field} must not hold lone surrogates.", field)
        elif isinstance(item, float) and not math.isfinite(item):
            raise bad_value(f"{field} must not hold NaN, Infinity or a number out of range.", field)
