"""The web pages: jobs at `/`, a scene at `/scenes/{job_id}`, and their scripts and styles. No key is asked for: a public scene is for
everybody, a private one for who has its signed link."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api import errors, pages
from api.json_response import JsonResponse
from api.routes_events import COMMENT, COMMENT_SECONDS
from api.routing import base_url, job_id_of
from api.scene import scene
from api.service import Service, service_of
from api.trace import trace_of
from storage import job_rows
from storage.signing import BadSignature, ExpiredSignature
from tasks.errors import TransientError

router = APIRouter(include_in_schema=False)

GONE = b"event: gone\ndata: {}\n\n"
UNAVAILABLE, EXPIRED = "unavailable", "expired"
REFUSALS = {
    UNAVAILABLE: (404, "scene_unavailable", "There is no such scene, or it is private."),
    EXPIRED: (403, "link_expired", "This link has expired; ask its owner for a new one."),
}


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Who looks at which scene: a row to show with the query to go on with, or why there is nothing to show."""

    job: Any = None
    query: dict[str, str]
    refusal: str | None = None


@router.get("/")
async def jobs_page(request: Request) -> Response:
    """The jobs page. What it shows it asks the API for, with the key that its user enters."""
    service = service_of(request)
    return _html(service, pages.page("index.html", data={"max_upload_bytes": service.settings.max_upload_bytes}))


@router.get("/assets/{name}")
async def asset(request: Request, name: str) -> Response:
    """A file of the bundle."""
    found = pages.assets().get(name)
    if found is None:
        raise errors.not_found()
    headers = {"Content-Type": found.content_type, "Cache-Control": pages.FOREVER, "Vary": "Accept-Encoding"}
    if found.gzipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.gzipped, headers={**headers, "Content-Encoding": "gzip"})
    return Response(found.content, headers=headers)


@router.get("/scenes/{job_id}/")
async def scene_page_slashed(request: Request, job_id: str) -> Response:
    """The same page: links lose and gain slashes on their way."""
    return await scene_page(request, job_id)


@router.get("/scenes/{job_id}")
async def scene_page(request: Request, job_id: str) -> Response:
    """A scene to walk around in, or how far it is."""
    service, base = service_of(request), base_url(request)
    embed = request.query_params.get("embed") == "1"
    visit = await _arrive(service, request, job_id)
    data: dict[str, Any] = {"embed": embed, "state": visit.refusal, "scene": None}
    title = "splatflow"
    if visit.job is not None:
        shown = await service.look(lambda: scene(service, visit.job, query=visit.query, base=base))
        data |= {"state": shown["state"], "scene": shown}
        title = visit.job.title
    status = 200 if visit.refusal is None else REFUSALS[visit.refusal][0]
    text = pages.page("scene.html", title=title, data=data)
    return _html(service, text, status=status, embed=embed)


@router.get("/scenes/{job_id}/data")
async def scene_data(request: Request, job_id: str) -> Response:
    """The page's data anew: signed URLs in it end after a while."""
    service, base = service_of(request), base_url(request)
    visit = await _arrive(service, request, job_id)
    if visit.refusal is not None:
        raise errors.ApiError(*REFUSALS[visit.refusal])
    return JsonResponse(await service.look(lambda: scene(service, visit.job, query=visit.query, base=base)))


@router.get("/scenes/{job_id}/events")
async def scene_events(request: Request, job_id: str) -> Response:
    """`event: scene` with the page's data at every change, `event: gone` when it can't be looked at any more."""
    service, base = service_of(request), base_url(request)
    visit = await _arrive(service, request, job_id)
    if visit.refusal is not None:
        raise errors.ApiError(*REFUSALS[visit.refusal])
    if trace_of(request.scope).head:
        return Response(media_type="text/event-stream")
    stream = _stream(service, request, visit, job_id, base)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _stream(service: Service, request: Request, visit: Visit, job_id: str, base: str) -> AsyncIterator[bytes]:
    # Goes on after the end of the job too: a page that is open learns that its scene was changed, made private or deleted.
    with service.hub.watch(visit.job.id) as watcher:
        while True:
            if visit.job is None:
                yield GONE
                return
            if visit.job.revision != watcher.revision:
                watcher.revision = visit.job.revision
                shown = scene(service, visit.job, query=visit.query, base=base)
                yield b"event: scene\ndata: " + orjson.dumps(shown) + b"\n\n"
            if not await watcher.wait(COMMENT_SECONDS):
                yield COMMENT
            if service.hub.closing:
                return
            try:
                visit = await service.do(lambda: _visit(service, request, job_id))
            except TransientError:
                await asyncio.sleep(1)


async def _arrive(service: Service, request: Request, job_id: str) -> Visit:
    """The visit that a request begins, counted by its address."""
    service.limiter.count_page(request.client.host if request.client else "")
    return await service.look(lambda: _visit(service, request, job_id))


def _visit(service: Service, request: Request, job_id: str) -> Visit:
    """An unknown scene and a private one can't be told apart; only who had a good link learns that it has expired."""
    identity = job_id_of(job_id)
    query = {name: request.query_params[name] for name in ("expires", "signature") if name in request.query_params}
    job = job_rows.row_of_any(service.database, identity)
    if job is not None and job.public:
        return Visit(job=job, query={})
    try:
        service.links.verify(identity, query)
    except ExpiredSignature:
        return Visit(query={}, refusal=EXPIRED)
    except BadSignature:
        return Visit(query={}, refusal=UNAVAILABLE)
    return Visit(job=job, query=query) if job is not None else Visit(query={}, refusal=UNAVAILABLE)


def _html(service: Service, text: str, *, status: int = 200, embed: bool = False) -> Response:
    return Response(
        text,
        status_code=status,
        media_type="text/html; charset=utf-8",
        headers=pages.headers(service.settings, embed=embed),
    )
