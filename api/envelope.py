"""The outermost middleware: request ids, headers that every answer has, metrics, one log line, and no exception escapes."""

import logging
import time
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import errors
from api.metrics import Metrics
from api.trace import SCOPE_KEY, Trace

log = logging.getLogger("splatflow.api")
UNROUTED = "-"


class Envelope:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method = scope["method"]
        trace = scope[SCOPE_KEY] = Trace(request_id=uuid4().hex)
        start = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, trace)
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception:
            log.exception("request %s: failed at %s %s", trace.request_id, method, route_of(scope))
            if not status:
                await errors.answer(errors.internal(), scope["path"])(scope, receive, sending)
        finally:
            seconds = time.perf_counter() - start
            self.metrics.observe(method, route_of(scope), status, seconds)
            if log.isEnabledFor(logging.INFO):
                log.info(
                    "request %s: %s %s %d %.1f ms key %s",
                    trace.request_id,
                    method,
                    route_of(scope),
                    status,
                    1000 * seconds,
                    trace.key_id,
                )


def route_of(scope: Scope) -> str:
    """The template of the request's route. Never its path: that holds what clients wrote."""
    return getattr(scope.get("route"), "path", UNROUTED)


def _add_headers(message: Message, trace: Trace) -> None:
    headers = message["headers"] = list(message.get("headers", ()))
    headers.append((b"x-request-id", trace.request_id.encode()))
    headers.extend((name.encode(), value.encode()) for name, value in trace.headers.items())
    if not any(name == b"cache-control" for name, _ in headers):
        headers.append((b"cache-control", b"no-store"))
    headers.append((b"x-content-type-options", b"nosniff"))
