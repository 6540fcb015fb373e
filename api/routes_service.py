"""Health, metrics, and the API's description. No key is asked for."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.answers import AliveAnswer, ReadyAnswer
from api.docs_page import docs_page
from api.health import OK
from api.json_response import JsonResponse
from api.metrics import CONTENT_TYPE
from api.routing import base_url
from api.service import service_of

router = APIRouter(tags=["Service"])

DOCS_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.get("/healthz", response_model=AliveAnswer)
async def healthz() -> Response:
    """Whether the process is alive."""
    return JsonResponse({"status": "alive"})


@router.get("/readyz", response_model=ReadyAnswer, responses={503: {"model": ReadyAnswer, "description": "Not ready."}})
async def readyz(request: Request) -> Response:
    """Whether database, object store and Prefect can be used; 503 with what is wrong when not."""
    service = service_of(request)
    parts = await service.check(service.health.parts)
    ready = all(state == OK for state in parts.values())
    return JsonResponse(
        {"status": "ready" if ready else "not ready", "parts": parts}, status_code=200 if ready else 503
    )


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Prometheus' text format."""
    service = service_of(request)

    def work() -> bytes:
        service.metrics.read_rows(service.database)
        return service.metrics.text()

    return Response(await service.check(work), headers={"Content-Type": CONTENT_TYPE})


@router.get("/api/v1/openapi.json", include_in_schema=False)
async def openapi_json(request: Request) -> Response:
    """The description for programs."""
    return JsonResponse(request.app.openapi())


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The description for people."""
    page = docs_page(request.app.openapi(), base_url(request))
    return Response(page, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": DOCS_POLICY})
