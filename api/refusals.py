"""Turns what routes and the framework raise into the contract's answers."""

import logging
import re
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from api import errors
from api.routing import BASE
from api.trace import trace_of
from storage.quotas import QuotaExceeded
from tasks.errors import MachineError, TransientError

log = logging.getLogger("splatflow.api")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def install(app: FastAPI) -> None:
    """Registers the handlers."""
    app.add_exception_handler(errors.ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(QuotaExceeded, _over_quota)
    app.add_exception_handler(TransientError, _passing)
    app.add_exception_handler(MachineError, _passing)


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.ApiError)
    return errors.answer(error, request.scope["path"])


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.scope["path"]
    if error.status_code == 404:
        slashed = _slashed(request)
        return slashed or errors.answer(errors.not_found(), path)
    if error.status_code == 405:
        allowed = ", ".join(_allowed(request.app, request.scope))
        return errors.answer(
            errors.ApiError(405, "method_not_allowed", "Method not allowed", headers={"Allow": allowed}), path
        )
    refusal = errors.ApiError(error.status_code, "bad_request", "The request can't be understood.", field="request")
    return errors.answer(refusal if error.status_code < 500 else errors.internal(), path)


async def _validation_error(request: Request, _error: Exception) -> Response:
    # The framework's own answer would repeat the client's input.
    return errors.answer(errors.bad_value("The request can't be understood.", "request"), request.scope["path"])


async def _over_quota(request: Request, error: Exception) -> Response:
    refusal = errors.ApiError(403, QuotaExceeded.slug, str(error))
    return errors.answer(refusal, request.scope["path"])


async def _passing(request: Request, error: Exception) -> Response:
    log.error("request %s: %s: %s", trace_of(request.scope).request_id, type(error).__name__, error)
    return errors.answer(errors.internal(passing=True), request.scope["path"])


def _slashed(request: Request) -> Response | None:
    path = request.scope["path"]
    if path.endswith("/") or not path.startswith(f"{BASE}/"):
        return None
    if not _matching(request.app, {**request.scope, "path": f"{path}/"}):
        return None
    query = request.scope["query_string"].decode("latin-1")
    # Quoted anew: nothing that a client sent may end the header.
    target = quote(path, safe="/") + "/" + (f"?{_UNSAFE.sub(_escape, query)}" if query else "")
    return Response(status_code=308, headers={"Location": target})


_UNSAFE = re.compile(r"[^!#-;=?-Z\[\]_a-z~]")


def _escape(match: re.Match[str]) -> str:
    return f"%{ord(match.group()):02X}"


def _allowed(app: FastAPI, scope: Scope) -> list[str]:
    found = [method for method in METHODS if _matching(app, {**scope, "method": method}, full=True)]
    return [*found, "HEAD"] if "GET" in found else found


def _matching(app: FastAPI, scope: Scope, *, full: bool = False) -> bool:
    wanted = (Match.FULL,) if full else (Match.FULL, Match.PARTIAL)
    return any(route.matches(dict(scope))[0] in wanted for route in app.router.routes)
