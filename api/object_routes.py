"""The local store's signed URLs. No key is looked at: the signature says who may do what, and until when."""

import hashlib
from pathlib import Path
from uuid import UUID

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from api import errors
from api.disk import refuse_when_low, while_there_is_room
from api.service import Service, service_of
from storage import jobs, uploads
from storage.local import LocalStore
from storage.naming import BadKey, content_disposition
from storage.objects import BINARY, TooLarge
from storage.signing import PATH, BadSignature, ExpiredSignature, SignedQuery
from tasks.errors import DiskFull

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag, Content-Length, Content-Range, Accept-Ranges, Content-Disposition",
}
PREFLIGHT = {
    **CORS,
    "Access-Control-Allow-Methods": "GET, HEAD, PUT",
    "Access-Control-Allow-Headers": "Content-Type, Range, If-Range, x-ms-blob-type, *",
    "Access-Control-Max-Age": "86400",
}
# Files come from clients' videos: whatever is in them must not run as a page of this site.
INERT = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"}


class ObjectFile(FileResponse):
    """In pieces that are worth a thread's time."""

    chunk_size = 1 << 20


def object_routes(store: LocalStore) -> list[Route]:
    """The routes of a local store."""

    async def get_object(request: Request) -> Response:
        service, key = service_of(request), request.path_params["key"]
        query = _verified(store, request, key)
        path = await service.do(lambda: _readable(service, store, key))
        if path is None:
            raise errors.not_found()
        headers = {**CORS, **INERT, "Cache-Control": "no-store"}
        if query.name is not None:
            headers["Content-Disposition"] = content_disposition(query.name)
        return ObjectFile(path, media_type=query.content_type or BINARY, headers=headers)

    async def put_object(request: Request) -> Response:
        service, key = service_of(request), request.path_params["key"]
        _verified(store, request, key)
        limit = service.settings.max_upload_bytes
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > limit):
            raise _too_large(limit)
        if not await service.do(lambda: uploads.is_open(service.database, key)):
            raise errors.ApiError(409, "already_submitted", "This upload was submitted already; ask for a new URL.")
        try:
            refuse_when_low(service.settings, more=int(declared) if declared.isascii() and declared.isdigit() else 0)
            await store.receive(key, while_there_is_room(request.stream(), service.settings), max_bytes=limit)
        except TooLarge:
            raise _too_large(limit) from None
        except DiskFull as error:
            raise errors.ApiError(507, DiskFull.slug, str(error), headers=CORS) from None
        except errors.ApiError as error:
            error.headers |= CORS
            raise
        except ClientDisconnect:
            raise errors.ApiError(400, "upload_ended_early", "The upload ended early.") from None
        path = store.path(key)
        return Response(status_code=201, headers={**CORS, "ETag": await service.do(lambda: etag(path))})

    async def preflight(_request: Request) -> Response:
        return Response(status_code=204, headers=PREFLIGHT)

    path = f"{PATH}{{key:path}}"
    return [
        Route(path, get_object, methods=["GET", "HEAD"]),
        Route(path, put_object, methods=["PUT"]),
        Route(path, preflight, methods=["OPTIONS"]),
    ]


def etag(path: Path) -> str:
    """The tag that `FileResponse` gives this file."""
    stat = path.stat()
    digest = hashlib.md5(f"{stat.st_mtime}-{stat.st_size}".encode(), usedforsecurity=False)
    return f'"{digest.hexdigest()}"'


def _verified(store: LocalStore, request: Request, key: str) -> SignedQuery:
    try:
        return store.verify(request.method, key, request.query_params.multi_items())
    except (BadSignature, ExpiredSignature) as error:
        code = "url_expired" if isinstance(error, ExpiredSignature) else "bad_signature"
        raise errors.ApiError(403, code, str(error), headers=CORS) from None


def _readable(service: Service, store: LocalStore, key: str) -> Path | None:
    parts = key.split("/")
    if parts[0] == "jobs":
        # A URL given out before a job was deleted must not outlive it.
        try:
            job_id = UUID(parts[1])
        except (ValueError, IndexError):
            return None
        if job_id not in jobs.revisions(service.database, [job_id]):
            return None
    try:
        path = store.path(key)
    except BadKey:
        return None
    return path if path.is_file() else None


def _too_large(limit: int) -> errors.ApiError:
    message = f"The file is larger than the {limit} bytes that are accepted."
    return errors.ApiError(413, "upload_too_large", message, headers=CORS)
