"""Webhooks: where an account is told of its jobs' ends."""

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import errors, webhook_answers
from api.auth import require
from api.json_body import read_body, read_object
from api.json_response import JsonResponse
from api.limits import READ, WRITE
from api.routes_batches import PAGE, page_of
from api.routing import BASE, DeliveryId, WebhookId, body_of, job_id_of, refusals
from api.service import Service, service_of
from api.webhook_schemas import DeliveryAnswer, WebhookAnswer, WebhookChange, WebhookMade, WebhookRequest
from api.webhooks.address import BadUrl, Rules, destination
from storage import webhook_secrets, webhooks
from storage.tables import Webhook

router = APIRouter(prefix=BASE, tags=["Webhooks"])
T = TypeVar("T")


@router.get("/webhooks/", response_model=list[WebhookAnswer], responses=refusals())
async def list_webhooks(request: Request) -> Response:
    """List webhooks, oldest first. `X-Total-Count` counts them."""
    principal, service = await require(request, READ), service_of(request)

    def work() -> Response:
        rows = webhooks.listed(service.database, principal.account_id)
        content = [webhook_answers.webhook(row) for row in rows]
        return JsonResponse(content, headers={"X-Total-Count": str(len(rows))})

    return await service.do(work)


@router.post(
    "/webhooks/",
    status_code=201,
    response_model=WebhookMade,
    responses=refusals(409, 415),
    openapi_extra=body_of(WebhookRequest),
)
async def make_webhook(request: Request) -> Response:
    """Make a webhook. The answer has the secret that signs what is sent to it; it is shown this once."""
    principal, service = await require(request, WRITE), service_of(request)
    wanted = WebhookRequest.read(await read_object(request, max_bytes=service.settings.max_body_bytes) or {})
    _check_url(service, wanted.url)
    most = service.settings.webhooks_per_account

    def work() -> Response:
        hook = Webhook(account_id=principal.account_id, salt=_new_salt(service), **wanted.model_dump())
        try:
            webhooks.create(service.database, hook, most=most)
        except webhooks.TooManyWebhooks:
            message = f"The account has {most} webhooks, which is as many as it may have."
            raise errors.ApiError(409, "too_many_webhooks", message) from None
        return JsonResponse(_with_secret(service, hook), status_code=201)

    return await service.do(work)


@router.get("/webhooks/{webhook_id}/", response_model=WebhookAnswer, responses=refusals(404))
async def get_webhook(request: Request, webhook_id: WebhookId) -> Response:
    """Get a webhook."""
    principal, service = await require(request, READ), service_of(request)
    hook_id = job_id_of(webhook_id)
    return await service.do(
        lambda: JsonResponse(
            webhook_answers.webhook(_known(lambda: webhooks.get(service.database, principal.account_id, hook_id)))
        )
    )


@router.patch(
    "/webhooks/{webhook_id}/",
    response_model=WebhookAnswer,
    responses=refusals(404, 415),
    openapi_extra=body_of(WebhookChange),
)
async def change_webhook(request: Request, webhook_id: WebhookId) -> Response:
    """Change url, events or active. Switched off, it is sent nothing, and what waits is given up."""
    principal, service = await require(request, WRITE), service_of(request)
    hook_id = job_id_of(webhook_id)
    await service.do(lambda: _known(lambda: webhooks.get(service.database, principal.account_id, hook_id)))
    body = await read_object(request, max_bytes=service.settings.max_body_bytes)
    if body is None:
        raise errors.bad_json("The body must be a JSON object.")
    values = WebhookChange.read(body).model_dump(exclude_unset=True)
    if "url" in values:
        _check_url(service, values["url"])

    def work() -> Response:
        hook = _known(lambda: webhooks.change(service.database, principal.account_id, hook_id, values))
        return JsonResponse(webhook_answers.webhook(hook))

    return await service.do(work)


@router.delete("/webhooks/{webhook_id}/", status_code=204, response_model=None, responses=refusals(404))
async def delete_webhook(request: Request, webhook_id: WebhookId) -> Response:
    """Delete a webhook with its log."""
    principal, service = await require(request, WRITE), service_of(request)
    hook_id = job_id_of(webhook_id)
    await service.do(lambda: _known(lambda: webhooks.remove(service.database, principal.account_id, hook_id)))
    return Response(status_code=204)


@router.post("/webhooks/{webhook_id}/rotate/", response_model=WebhookMade, responses=refusals(404))
async def rotate_secret(request: Request, webhook_id: WebhookId) -> Response:
    """Make a new secret. All that is sent from now on is signed by it, what waits already included."""
    principal, service = await require(request, WRITE), service_of(request)
    await read_body(request, max_bytes=service.settings.max_body_bytes)
    hook_id = job_id_of(webhook_id)

    def work() -> Response:
        values = {"salt": _new_salt(service)}
        hook = _known(lambda: webhooks.change(service.database, principal.account_id, hook_id, values))
        return JsonResponse(_with_secret(service, hook))

    return await service.do(work)


@router.post(
    "/webhooks/{webhook_id}/test/", status_code=202, response_model=DeliveryAnswer, responses=refusals(404, 409)
)
async def test_webhook(request: Request, webhook_id: WebhookId) -> Response:
    """Send a ping: the event `ping`, about no job. One that waits already is sent at once instead."""
    principal, service = await require(request, WRITE), service_of(request)
    await read_body(request, max_bytes=service.settings.max_body_bytes)
    hook_id = job_id_of(webhook_id)

    def work() -> Response:
        row = _known(lambda: webhooks.ping(service.database, principal.account_id, hook_id))
        return JsonResponse(webhook_answers.delivery(row), status_code=202)

    return await service.do(work)


@router.get(
    "/webhooks/{webhook_id}/deliveries/",
    response_model=list[DeliveryAnswer],
    responses=refusals(404),
    openapi_extra={"parameters": PAGE},
)
async def list_deliveries(request: Request, webhook_id: WebhookId) -> Response:
    """List what was told to a webhook, newest first; kept for 30 days. `X-Total-Count` counts all."""
    principal, service = await require(request, READ), service_of(request)
    limit, offset = page_of(request)
    hook_id = job_id_of(webhook_id)

    def work() -> Response:
        rows, total = _known(
            lambda: webhooks.deliveries(service.database, principal.account_id, hook_id, limit=limit, offset=offset)
        )
        content = [webhook_answers.delivery(row) for row in rows]
        return JsonResponse(content, headers={"X-Total-Count": str(total)})

    return await service.do(work)


@router.post(
    "/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver/",
    status_code=202,
    response_model=DeliveryAnswer,
    responses=refusals(404, 409),
)
async def redeliver(request: Request, webhook_id: WebhookId, delivery_id: DeliveryId) -> Response:
    """Send something once more, at once: the same body under the same id. One that waits is not waited for any longer."""
    principal, service = await require(request, WRITE), service_of(request)
    await read_body(request, max_bytes=service.settings.max_body_bytes)
    hook_id, wanted = job_id_of(webhook_id), job_id_of(delivery_id)

    def work() -> Response:
        row = _known(lambda: webhooks.redeliver(service.database, principal.account_id, hook_id, wanted))
        return JsonResponse(webhook_answers.delivery(row), status_code=202)

    return await service.do(work)


def _check_url(service: Service, url: str) -> None:
    try:
        destination(url, Rules.of(service.settings))
    except BadUrl as error:
        raise errors.bad_value(f"url {error}.", "url") from None


def _new_salt(service: Service) -> str:
    return webhook_secrets.new_salt(service.settings.signing_secret.get_secret_value().encode())


def _with_secret(service: Service, hook: Webhook) -> dict[str, Any]:
    secret = webhook_secrets.secret_of(service.settings.signing_secret.get_secret_value().encode(), hook.salt)
    return {**webhook_answers.webhook(hook), "secret": secret}


def _known(action: Callable[[], T]) -> T:
    try:
        return action()
    except webhooks.WebhookMissing:
        raise errors.ApiError(404, "webhook_not_found", "Webhook not found") from None
    except webhooks.DeliveryMissing:
        raise errors.ApiError(404, "delivery_not_found", "Delivery not found") from None
    except webhooks.WebhookOff:
        message = "The webhook is switched off; set active to true first."
        raise errors.ApiError(409, "wrong_state", message) from None
