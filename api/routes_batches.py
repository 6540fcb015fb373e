"""Batches: jobs that are made again with other options, or by a newer pipeline, and keep what is better."""

import hashlib
from dataclasses import replace
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import batch_answers, batch_plan, errors
from api.auth import require
from api.batch_schemas import BatchAnswer, BatchDetail, BatchRequest, PlanAnswer
from api.job_query import whole_number
from api.json_body import read_body, read_object
from api.json_response import JsonResponse
from api.limits import READ, WRITE
from api.routes_submit import IDEMPOTENCY_KEY
from api.routing import BASE, BatchId, body_of, job_id_of, refusals
from api.service import Service, service_of
from api.submit import submission_of
from storage import batches, jobs, quotas
from storage.batch_spec import MAX_JOBS
from storage.tables import Batch

router = APIRouter(prefix=BASE, tags=["Batches"])

MAX_LIMIT, USUAL_LIMIT, MAX_OFFSET = 1000, 100, 2**31 - 1
PAGE: list[dict[str, Any]] = [
    {
        "name": "limit",
        "in": "query",
        "description": f"At most so many; {USUAL_LIMIT} when absent.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
    },
    {
        "name": "offset",
        "in": "query",
        "description": "Leave out so many of the first.",
        "schema": {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET},
    },
]
PLAN = {200: {"model": PlanAnswer, "description": "What would be done (`dry_run`)."}}


@router.post(
    "/batches/",
    status_code=201,
    response_model=BatchAnswer,
    responses={**refusals(409, 415), **PLAN},
    openapi_extra={**body_of(BatchRequest), "parameters": [IDEMPOTENCY_KEY]},
)
async def make_batch(request: Request) -> Response:
    """Make jobs again, and keep what is better. The jobs stay finished, with the result that they have, meanwhile."""
    principal, service = await require(request, WRITE), service_of(request)
    body = await read_object(request, max_bytes=service.settings.max_body_bytes) or {}
    wanted = BatchRequest.read(body)
    if wanted.dry_run:
        return await service.do(lambda: _plan(service, principal.account_id, wanted.row()))
    submission = submission_of(request.headers.get("idempotency-key"), body)
    if submission is not None:  # the same key may not stand for a submit of the same fields
        digest = hashlib.sha256(f"batch {submission.body_sha256}".encode()).hexdigest()
        submission = replace(submission, body_sha256=digest)

    def work() -> Response:
        batch = Batch(account_id=principal.account_id, spec=wanted.row())
        try:
            if submission is None or jobs.known_answer(service.database, principal.account_id, submission) is None:
                quotas.check(
                    service.database, service.settings, principal.account_id, {quotas.BYTES: 1, quotas.HOURS: 0}
                )
            answer, is_new = batches.create(service.database, batch, batch_answers.batch, submission)
        except batches.TooManyJobs as error:
            raise _too_many(error) from None
        except jobs.IdempotencyConflict:
            message = "This Idempotency-Key was used with another body."
            raise errors.ApiError(409, "idempotency_conflict", message, field="Idempotency-Key") from None
        return JsonResponse(answer, status_code=201, headers={} if is_new else {"Idempotent-Replayed": "true"})

    return await service.do(work)


@router.get("/batches/", response_model=list[BatchAnswer], responses=refusals(), openapi_extra={"parameters": PAGE})
async def list_batches(request: Request) -> Response:
    """List batches, newest first. `X-Total-Count` counts all."""
    principal, service = await require(request, READ), service_of(request)
    limit, offset = page_of(request)

    def work() -> Response:
        rows, total = batches.listed(service.database, principal.account_id, limit=limit, offset=offset)
        content = [batch_answers.batch(row, counts) for row, counts in rows]
        return JsonResponse(content, headers={"X-Total-Count": str(total)})

    return await service.do(work)


@router.get(
    "/batches/{batch_id}/",
    response_model=BatchDetail,
    responses=refusals(404),
    openapi_extra={"parameters": PAGE},
)
async def get_batch(request: Request, batch_id: BatchId) -> Response:
    """Get a batch: how far it is, and a page of its jobs with the figures before and after. `X-Total-Count` counts all jobs."""
    principal, service = await require(request, READ), service_of(request)
    limit, offset = page_of(request)
    identity = job_id_of(batch_id)

    def work() -> Response:
        row, counts = _known(service, identity, principal.account_id)
        items = batches.items(service.database, identity, limit=limit, offset=offset)
        answer = batch_answers.batch(row, counts)
        answer["items"] = [batch_answers.item(one, title) for one, title in items]
        return JsonResponse(answer, headers={"X-Total-Count": str(sum(counts.values()))})

    return await service.do(work)


@router.post("/batches/{batch_id}/cancel/", response_model=BatchAnswer, responses=refusals(404, 409))
async def cancel_batch(request: Request, batch_id: BatchId) -> Response:
    """End a batch: jobs that wait are left alone, those at work are stopped, and what was replaced stays replaced."""
    principal, service = await require(request, WRITE), service_of(request)
    await read_body(request, max_bytes=service.settings.max_body_bytes)
    identity = job_id_of(batch_id)

    def work() -> Response:
        try:
            batches.cancel(service.database, identity, principal.account_id)
        except batches.BatchMissing:
            raise _missing() from None
        except jobs.WrongState:
            message = "It can't be cancelled: the batch has ended already."
            raise errors.ApiError(409, "wrong_state", message) from None
        return JsonResponse(batch_answers.batch(*_known(service, identity, principal.account_id)))

    return await service.do(work)


def _plan(service: Service, account_id: UUID, spec: dict[str, Any]) -> Response:
    try:
        rows = batches.selected(service.database, account_id, spec)
    except batches.TooManyJobs as error:
        raise _too_many(error) from None
    return JsonResponse(batch_answers.plan(batch_plan.plan(service.objects, spec, rows), spec["at_once"]))


def _known(service: Service, batch_id: UUID, account_id: UUID) -> tuple[Batch, dict[str, int]]:
    try:
        return batches.get(service.database, batch_id, account_id)
    except batches.BatchMissing:
        raise _missing() from None


def page_of(request: Request) -> tuple[int, int]:
    """`limit` and `offset` of a request.

    Raises:
        ApiError: 400; a value that can't be used.
    """
    limit = whole_number(request.query_params, "limit", 1, MAX_LIMIT)
    return limit or USUAL_LIMIT, whole_number(request.query_params, "offset", 0, MAX_OFFSET) or 0


def _too_many(error: batches.TooManyJobs) -> errors.ApiError:
    return errors.bad_value(f"{error.count} jobs match, and a batch takes {MAX_JOBS}; choose fewer.", "jobs")


def _missing() -> errors.ApiError:
    return errors.ApiError(404, "batch_not_found", "Batch not found")
