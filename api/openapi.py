"""The API's description: FastAPI's, with the bodies that we parse ourselves, and without answers that are never given."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from api.batch_schemas import BatchRequest
from api.routing import BASE
from api.schemas import SubmitRequest, UpdateRequest, UploadRequest
from api.webhook_schemas import WebhookChange, WebhookRequest

TITLE = "splatflow"
VERSION = "1"
DESCRIPTION = (
    "From a video to a 3D Gaussian splat scene: ask for an upload URL, PUT the video there, submit it as a job, "
    "follow the job, download the scene."
)
BODIES = (UploadRequest, SubmitRequest, UpdateRequest, BatchRequest, WebhookRequest, WebhookChange)
SCHEME = "ApiKeyAuth"
UNUSED = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the application; made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=TITLE, version=VERSION, description=DESCRIPTION, routes=app.routes)
        schemas = document["components"]["schemas"]
        _, bodies = models_json_schema(
            [(model, "validation") for model in BODIES], ref_template="#/components/schemas/{model}"
        )
        schemas.update(bodies["$defs"])
        for name in UNUSED:
            schemas.pop(name, None)
        document["components"]["securitySchemes"] = {
            SCHEME: {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "`Api-Key <key>`",
            }
        }
        for path, operations in document["paths"].items():
            for operation in operations.values():
                operation["responses"].pop("422", None)
                if path.startswith(BASE):
                    operation["security"] = [{SCHEME: []}]
        app.openapi_schema = document
    return app.openapi_schema
