"""JSON answers, encoded by orjson."""

from typing import Any

import orjson
from starlette.responses import Response


class JsonResponse(Response):
    """`content` as compact UTF-8 JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)
