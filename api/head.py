"""HEAD wherever GET works: answered as GET, without the body."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.trace import trace_of
from storage.signing import PATH as OBJECTS_PATH


class HeadAsGet:
    """Middleware. Objects are left out: their route knows HEAD itself and then reads no file."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"].startswith(OBJECTS_PATH):
            await self.app(scope, receive, send)
            return
        trace_of(scope).head = True
        ended = False

        async def without_body(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                await send(message)
            elif not ended:
                ended = True
                await send({"type": "http.response.body", "body": b""})

        # A copy: the server looks at its own scope to know that no body will come.
        as_get = {**scope, "method": "GET"}
        try:
            await self.app(as_get, receive, without_body)
        finally:
            scope["route"] = as_get.get("route")
