"""Server-sent events: the job's detail at once and on every change."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api import present
from api.auth import require, secret_of
from api.errors import ApiError
from api.events_hub import EventsHub
from api.limits import READ
from api.routes_jobs import detail_of, look_up
from api.routing import BASE, JobId, base_url, job_id_of, refusals
from api.service import service_of
from api.trace import trace_of
from storage import accounts
from tasks.errors import TransientError

router = APIRouter(prefix=BASE, tags=["Jobs"])

COMMENT_SECONDS = 15.0
COMMENT = b": still here\n\n"
STREAM = {
    200: {
        "description": "`event: job` with the detail as data; a comment every 15 s; closed after the end.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get(
    "/jobs/{job_id}/events/",
    response_class=StreamingResponse,
    response_model=None,
    responses={**refusals(404), **STREAM},
)
async def events(request: Request, job_id: JobId) -> Response:
    """Follow a job: an event on every change, until it has ended or is deleted."""
    principal, service = await require(request, READ), service_of(request)
    identity, secret, base = job_id_of(job_id), secret_of(request), base_url(request)
    first = await service.look(lambda: look_up(service, principal.account_id, identity))

    def look_again() -> Any:
        try:
            if accounts.authenticate(service.database, secret) is None:
                return None
            return look_up(service, principal.account_id, identity)
        except ApiError:
            return None

    async def again() -> Any:
        return await service.do(look_again)

    def shown(job: Any) -> dict[str, Any]:
        return detail_of(service, job, base)

    if trace_of(request.scope).head:
        return Response(media_type="text/event-stream")
    body = stream(service.hub, first, again, shown)
    return StreamingResponse(body, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def stream(
    hub: EventsHub,
    job: Any,
    again: Callable[[], Any],
    shown: Callable[[Any], dict[str, Any]],
) -> AsyncIterator[bytes]:
    """The events of one request.

    Args:
        job: its row as it is now.
        again: fetches it anew; None: it or the key is gone.
        shown: its detail.
    """
    if job is None:
        return
    with hub.watch(job.id) as watcher:
        while job is not None:
            if job.revision != watcher.revision:
                watcher.revision = job.revision
                yield b"event: job\ndata: " + orjson.dumps(shown(job)) + b"\n\n"
            if job.state in present.ENDED:
                return
            if not await watcher.wait(COMMENT_SECONDS):
                yield COMMENT
            if hub.closing:
                return
            try:
                job = await again()
            except TransientError:
                continue
