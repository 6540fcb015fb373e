"""The application: routes, middleware, and what they work with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from api import (
    refusals,
    routes_account,
    routes_batches,
    routes_events,
    routes_files,
    routes_jobs,
    routes_pages,
    routes_service,
    routes_submit,
    routes_tags,
    routes_webhooks,
)
from api.envelope import Envelope
from api.head import HeadAsGet
from api.object_routes import object_routes
from api.openapi import describe
from api.service import Service
from storage.database import Database
from storage.local import LocalStore
from storage.objects import ObjectStore
from storage.settings import Settings


def create_app(settings: Settings, database: Database, objects: ObjectStore, *, prefect_url: str = "") -> FastAPI:
    """An application. It connects to nothing until the first request.

    Args:
        prefect_url: of Prefect's API, for the readiness check only.

    Raises:
        BadOption: a setting can't be used.
    """
    service = Service(settings, database, objects, prefect_url=prefect_url)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        service.hub.close()

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan)
    app.state.service = service
    for module in (
        routes_jobs,
        routes_submit,
        routes_files,
        routes_events,
        routes_account,
        routes_batches,
        routes_webhooks,
    ):
        app.include_router(module.router)
    app.include_router(routes_service.router)
    app.include_router(routes_tags.router)
    app.include_router(routes_pages.router)
    if isinstance(objects, LocalStore):
        app.router.routes.extend(object_routes(objects))
    refusals.install(app)
    app.add_middleware(HeadAsGet)
    app.add_middleware(Envelope, metrics=service.metrics)
    app.openapi = lambda: describe(app)
    return app
