"""Jobs: list, look at, change, delete, cancel, retry."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import errors, present
from api.answers import JobDetail, JobEntry
from api.auth import require
from api.job_query import PARAMETERS, read_query
from api.json_body import read_body, read_object
from api.json_response import JsonResponse
from api.limits import READ, WRITE
from api.routing import BASE, JobId, base_url, body_of, job_id_of, refusals
from api.schemas import UpdateRequest
from api.service import Service, service_of
from api.text import shown
from storage import job_rows, jobs, quotas
from storage.database import Database
from storage.tables import Job
from tasks.errors import SourceExpired

router = APIRouter(prefix=BASE, tags=["Jobs"])


@router.get(
    "/jobs/",
    response_model=list[JobDetail] | list[JobEntry],
    responses=refusals(),
    openapi_extra={"parameters": PARAMETERS},
)
async def list_jobs(request: Request) -> Response:
    """List jobs, newest first. `X-Total-Count` counts all that match."""
    principal, service = await require(request, READ), service_of(request)
    wanted, base = read_query(request.query_params), base_url(request)

    def work() -> Response:
        rows, total = jobs.listed(
            service.database,
            principal.account_id,
            states=wanted.states,
            public=wanted.public,
            limit=wanted.limit,
            offset=wanted.offset,
            whole=wanted.detail,
        )
        entry = (lambda row: detail_of(service, row, base)) if wanted.detail else _entry
        content = [entry(row) for row in rows]
        return JsonResponse(content, headers={"X-Total-Count": str(total)})

    return await service.do(work)


@router.get("/jobs/{job_id}/", response_model=JobDetail, responses=refusals(404))
async def get_job(request: Request, job_id: JobId) -> Response:
    """Get a job: its status, progress, options and results."""
    principal, service = await require(request, READ), service_of(request)
    base = base_url(request)

    def work() -> dict[str, Any]:
        return detail_of(service, look_up(service, principal.account_id, job_id_of(job_id)), base)

    return JsonResponse(await service.look(work))


@router.patch(
    "/jobs/{job_id}/", response_model=JobDetail, responses=refusals(404, 415), openapi_extra=body_of(UpdateRequest)
)
async def update_job(request: Request, job_id: JobId) -> Response:
    """Change title, public or camera_data. Read-only fields of the detail are ignored."""
    principal, service = await require(request, WRITE), service_of(request)
    identity, base = job_id_of(job_id), base_url(request)
    await service.look(lambda: look_up(service, principal.account_id, identity))
    body = await read_object(request, max_bytes=service.settings.max_body_bytes)
    if body is None:
        raise errors.bad_json("The body must be a JSON object.")
    values = changes(body)
    change = (lambda: jobs.change(service.database, principal.account_id, identity, values)) if values else None

    def work() -> Response:
        job = _known(change) if change else look_up(service, principal.account_id, identity)
        return JsonResponse(detail_of(service, job, base))

    return await service.do(work)


@router.put(
    "/jobs/{job_id}/", response_model=JobDetail, responses=refusals(404, 415), openapi_extra=body_of(UpdateRequest)
)
async def put_job(request: Request, job_id: JobId) -> Response:
    """The same as PATCH."""
    return await update_job(request, job_id)


@router.delete("/jobs/{job_id}/", status_code=204, response_model=None, responses=refusals(404))
async def delete_job(request: Request, job_id: JobId) -> Response:
    """Delete a job and all its files. It is gone at once; its files are removed within two minutes."""
    principal, service = await require(request, WRITE), service_of(request)
    await service.do(lambda: _known(lambda: jobs.remove(service.database, principal.account_id, job_id_of(job_id))))
    return Response(status_code=204)


@router.post("/jobs/{job_id}/cancel/", response_model=JobDetail, responses=refusals(404, 409))
async def cancel_job(request: Request, job_id: JobId) -> Response:
    """End a queued or running job. Finished steps are kept for a retry."""
    return await _act(request, job_id, jobs.cancel, "It can't be cancelled: the job has ended already.")


@router.post("/jobs/{job_id}/retry/", response_model=JobDetail, responses=refusals(404, 409))
async def retry_job(request: Request, job_id: JobId) -> Response:
    """Run a failed job again. Steps that were finished are used again."""
    settings = service_of(request).settings

    def retry(database: Database, account_id: UUID, identity: UUID) -> Job:
        wanted = {quotas.QUEUED: 1, quotas.HOURS: 0}
        return jobs.retry(
            database, account_id, identity, lambda session: quotas.check_in(session, settings, account_id, wanted)
        )

    return await _act(request, job_id, retry, "It can't be retried: only a job that has failed can.")


async def _act(request: Request, job_id: str, action: Callable[..., Job], sentence: str) -> Response:
    principal, service = await require(request, WRITE), service_of(request)
    await read_body(request, max_bytes=service.settings.max_body_bytes)
    base = base_url(request)

    def work() -> Response:
        try:
            job = _known(lambda: action(service.database, principal.account_id, job_id_of(job_id)))
        except jobs.WrongState:
            raise errors.ApiError(409, "wrong_state", sentence) from None
        except jobs.SourceGone as error:
            raise errors.ApiError(409, SourceExpired.slug, str(error)) from None
        return JsonResponse(detail_of(service, job, base))

    return await service.do(work)


def changes(body: dict[str, Any]) -> dict[str, Any]:
    """The columns that a PATCH sets.

    Raises:
        ApiError: 400; an unknown field, or a value that can't be used.
    """
    read_only = (JobDetail.model_fields.keys() | {"success"}) - UpdateRequest.model_fields.keys()
    for name in body:
        if name not in read_only and name not in UpdateRequest.model_fields:
            raise errors.bad_value(f"{shown(name)} is not a field of a job.", shown(name))
    update = UpdateRequest.read({name: value for name, value in body.items() if name not in read_only})
    given = update.model_dump(exclude_unset=True)
    if "camera_data" in given:
        given["camera_set"] = given.pop("camera_data")
    return given


def look_up(service: Service, account_id: UUID, job_id: UUID) -> Any:
    """The job's row, for reading only.

    Raises:
        ApiError: 404.
    """
    return _known(lambda: job_rows.row(service.database, account_id, job_id))


def detail_of(service: Service, job: Any, base: str) -> dict[str, Any]:
    """The detail of a job's row; `base` is where clients reach the service."""
    return present.detail(
        job,
        remaining_seconds=service.estimates.of(job),
        viewer_url=service.links.viewer_url(job, base),
        run_url=service.links.run_url(job),
    )


def _entry(row: Any) -> dict[str, Any]:
    return present.entry(row.id, row.title)


def _known(action: Callable[[], Any]) -> Any:
    try:
        return action()
    except jobs.JobMissing:
        raise errors.job_missing() from None
