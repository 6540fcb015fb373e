"""The caller's own account."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.answers import AccountAnswer
from api.auth import require
from api.json_response import JsonResponse
from api.limits import CLASSES, READ
from api.routing import BASE, refusals
from api.service import service_of
from api.usage import account_name, usage
from storage import quotas, retention

router = APIRouter(prefix=BASE, tags=["Account"])


@router.get("/account/", response_model=AccountAnswer, responses=refusals())
async def account(request: Request) -> Response:
    """Get plan, limits, usage, quotas and how long things are kept."""
    principal, service = await require(request, READ), service_of(request)
    settings = service.settings
    limits = {name: service.limiter.of(principal, name) for name in CLASSES} | {
        "max_upload_bytes": settings.max_upload_bytes,
        "max_body_bytes": settings.max_body_bytes,
        "upload_url_seconds": settings.upload_url_seconds,
        "download_url_seconds": settings.download_url_seconds,
        "max_webhooks": settings.webhooks_per_account,
        "disk_low_bytes": settings.disk_low_bytes or None,
    }

    def work() -> Response:
        standing = quotas.standing(service.database, settings, principal.account_id)
        return JsonResponse(
            {
                "name": account_name(service.database, principal.account_id),
                "plan": principal.plan,
                "limits": limits,
                "usage": usage(service.database, principal.account_id, standing),
                "quotas": {
                    name: {"limit": quota.limit, "used": round(quota.used, 3)} for name, quota in standing.items()
                },
                "retention": retention.shown(settings),
            }
        )

    return await service.do(work)
