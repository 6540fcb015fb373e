"""Uploading a file and submitting a job that reads it."""

from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.answers import SubmitAnswer, SubmitErrorAnswer, UploadAnswer
from api.auth import require
from api.disk import refuse_when_low
from api.json_body import read_object
from api.json_response import JsonResponse
from api.limits import SUBMIT, WRITE
from api.routing import BASE, base_url, body_of, refusals
from api.schemas import SubmitRequest, UploadRequest
from api.service import service_of
from api.submit import submission_of, submit
from storage import quotas, uploads

router = APIRouter(prefix=BASE, tags=["Upload"])

IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A repeat with the same key and body gets the first answer, and makes no second job.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


@router.post(
    "/generate-upload-url/",
    response_model=UploadAnswer,
    responses=refusals(415, 507),
    openapi_extra=body_of(UploadRequest),
)
async def generate_upload_url(request: Request) -> Response:
    """Get a URL to PUT a video, or a zip of photos, to."""
    principal, service = await require(request, WRITE), service_of(request)
    body = await read_object(request, max_bytes=service.settings.max_body_bytes)
    wanted = UploadRequest.read(body or {})
    seconds, base = service.settings.upload_url_seconds, base_url(request)

    def work() -> Response:
        refuse_when_low(service.settings)
        quotas.check(service.database, service.settings, principal.account_id, {quotas.BYTES: 1})
        upload = uploads.create(service.database, principal.account_id, wanted.file_extension, seconds=seconds)
        url = service.objects.signed_put(upload.blob_name, seconds=seconds, base_url=base)
        return JsonResponse({"url": url, "blob_name": upload.blob_name})

    return await service.do(work)


@router.post(
    "/submit-job/",
    status_code=201,
    response_model=SubmitAnswer,
    responses=refusals(409, 415, model=SubmitErrorAnswer),
    openapi_extra={**body_of(SubmitRequest), "parameters": [IDEMPOTENCY_KEY]},
)
async def submit_job(request: Request) -> Response:
    """Make a job of an uploaded file. Once answered, the job survives any crash."""
    principal, service = await require(request, SUBMIT), service_of(request)
    body = await read_object(request, max_bytes=service.settings.max_body_bytes) or {}
    wanted = SubmitRequest.read(body)
    idempotency = submission_of(request.headers.get("idempotency-key"), body)
    answer, is_new = await service.do(lambda: submit(service, principal.account_id, wanted, idempotency))
    url = service.links.viewer_url_of(UUID(answer["job_id"]), public=answer["public"], base=base_url(request))
    answer = {**answer, "viewer_url": url}
    headers = {} if is_new else {"Idempotent-Replayed": "true"}
    return JsonResponse(answer, status_code=201, headers=headers)
