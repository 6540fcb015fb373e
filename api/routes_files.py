"""Redirects to a job's files. The URLs are signed, need no key and expire.

Pages in browsers ask with `redirect=false`: a script can't read where a redirect leads, and a link can't carry a key.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from api import errors
from api.answers import FileUrlAnswer
from api.auth import require
from api.file_urls import output_url, preview_url
from api.job_query import flag
from api.json_response import JsonResponse
from api.limits import READ
from api.routes_jobs import look_up
from api.routing import BASE, JobId, base_url, job_id_of, refusals
from api.service import Service, service_of
from storage import naming
from storage.tables import FINISHED

router = APIRouter(prefix=BASE, tags=["Files"])

_NAMES = [f'"{kind}"' for kind in naming.FILES]
FileType = Annotated[str, Path(description=f"One of {', '.join(naming.FILES)}.")]
BAD_KIND = f"Invalid file type. Must be {', '.join(_NAMES[:-1])} or {_NAMES[-1]}"
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": FileUrlAnswer, "description": "With `redirect=false`: the same URL in a body."},
    302: {"description": "`Location` is the file's URL, valid for 15 minutes."},
}
PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "redirect",
        "in": "query",
        "description": "false: answer 200 with the URL in place of the redirect.",
        "schema": {"type": "boolean", "default": True},
    }
]


@router.get(
    "/jobs/{job_id}/download/{file_type}/",
    status_code=302,
    response_model=None,
    responses={**refusals(404), **ANSWERS},
    openapi_extra={"parameters": PARAMETERS},
)
async def download(request: Request, job_id: JobId, file_type: FileType) -> Response:
    """Get the URL of an output file, as a redirect."""

    def target(service: Service, job: Any, base: str) -> str:
        if file_type not in naming.FILES:
            raise errors.bad_value(BAD_KIND, "file_type")
        if job.state != FINISHED or file_type not in job.files:
            raise errors.ApiError(404, "file_not_available", f"{_spoken(file_type)} file not available for this job")
        name, _ = naming.FILES[file_type]
        return output_url(service, job, file_type, base, save_as=naming.download_name(job.title, name))

    return await _answer(request, job_id, target)


@router.get(
    "/jobs/{job_id}/preview/",
    status_code=302,
    response_model=None,
    responses={**refusals(404), **ANSWERS},
    openapi_extra={"parameters": PARAMETERS},
)
async def preview(request: Request, job_id: JobId) -> Response:
    """Get the URL of the latest preview image, as a redirect. Who asks for a body is told null when there is none yet."""
    return await _answer(request, job_id, preview_url)


async def _answer(request: Request, job_id: str, target: Callable[[Service, Any, str], str | None]) -> Response:
    principal, service = await require(request, READ), service_of(request)
    redirect, base = flag(request.query_params, "redirect"), base_url(request)

    def work() -> str | None:
        return target(service, look_up(service, principal.account_id, job_id_of(job_id)), base)

    url = await service.look(work)
    if redirect is False:
        return JsonResponse({"url": url})
    if url is None:
        raise errors.ApiError(400, "no_preview", "No preview available yet", field="job_id")
    return Response(status_code=302, headers={"Location": url})


def _spoken(kind: str) -> str:
    return kind.upper() if kind in ("ply", "spz") else kind.replace("_", " ").capitalize()
