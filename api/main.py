"""The API's process: `python -m api.main`, or `uvicorn --factory api.main:app`."""

import logging
import os
import socket
import sys

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from storage.database import Database
from storage.objects import open_store
from storage.settings import Settings, load_settings
from tasks.errors import SplatflowError

SHUTDOWN_SECONDS = 4
UNUSABLE = 2  # exit status


def app() -> FastAPI:
    """The application of this process's settings.

    Raises:
        BadOption: a setting can't be used, or the default secret would be served to others.
    """
    return application(load_settings())


def application(settings: Settings) -> FastAPI:
    """The application of these settings.

    Raises:
        BadOption: as `app`.
    """
    settings.refuse_unsafe()
    return create_app(
        settings,
        Database(settings.database),
        open_store(settings),
        prefect_url=os.environ.get("PREFECT_API_URL", ""),
    )


class Server(uvicorn.Server):
    """Ends event streams before it waits for connections to close."""

    def __init__(self, config: uvicorn.Config, application: FastAPI) -> None:
        super().__init__(config)
        self._application = application

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._application.state.service.hub.close()
        await super().shutdown(sockets)


def main() -> int:
    """Serves until told to stop; returns the exit status."""
    try:
        settings = load_settings()
        served = application(settings)
    except SplatflowError as error:
        print(f"splatflow: {error}", file=sys.stderr)
        return UNUSABLE
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # httpx tells every URL at INFO; the readiness check would fill the log.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    config = uvicorn.Config(
        served,
        host=settings.api_host,
        port=settings.api_port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    Server(config, served).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
