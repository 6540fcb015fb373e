"""What the routes share: parts of their description, parsing of paths, and where the API is reached."""

import re
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path
from pydantic import BaseModel
from starlette.requests import Request

from api.answers import ErrorAnswer
from api.service import service_of

BASE = "/api/v1"
NO_JOB = UUID(int=0)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")

BatchId = Annotated[str, Path(description="The batch's id.", json_schema_extra={"format": "uuid"})]
JobId = Annotated[str, Path(description="The job's id.", json_schema_extra={"format": "uuid"})]
WebhookId = Annotated[str, Path(description="The webhook's id.", json_schema_extra={"format": "uuid"})]
DeliveryId = Annotated[str, Path(description="The delivery's id.", json_schema_extra={"format": "uuid"})]

ERRORS = {
    400: "The request can't be understood; `field` says what of it.",
    401: "No good API key.",
    403: "The key's account or scope doesn't allow this.",
    404: "There is no such thing for this account.",
    405: "Wrong method; `Allow` lists the right ones.",
    409: "Not possible in the state that things are in.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    429: "Too many requests; `Retry-After` says when to go on.",
    507: "The service's disk is nearly full; `Retry-After` says when to ask again.",
    500: "Our fault; tell the operator the answer's `X-Request-ID`.",
}
ALWAYS = (400, 401, 403, 405, 413, 429, 500)


def refusals(*more: int, model: type[BaseModel] = ErrorAnswer) -> dict[int | str, dict[str, Any]]:
    """Descriptions of the errors that every route has, and of `more`."""
    return {status: {"model": model, "description": ERRORS[status]} for status in sorted({*ALWAYS, *more})}


def body_of(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """Description of a JSON body; `api.openapi` adds the model itself."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
    return {"requestBody": {"required": required, "content": content}}


def job_id_of(text: str) -> UUID:
    """The id in a path; `NO_JOB`, which no job has, when it is none: then the same is done as for an unknown job."""
    return UUID(text) if _UUID.fullmatch(text) else NO_JOB


def base_url(request: Request) -> str:
    """Where clients reach the API: as the settings say, else as this request came."""
    configured = service_of(request).settings.public_url
    if configured:
        return configured.rstrip("/")
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        name, port = request.scope.get("server") or ("127.0.0.1", None)
        host = f"{name}:{port}" if port else name
    return f"{request.scope['scheme']}://{host}"
