"""Prefect's process worker, made to look for work again at once when a server that was away is back."""

from abc import ABC
from typing import Any

import anyio
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.workers.process import ProcessWorker

PAUSE_SECONDS = 2.0


class PatientWorker(ProcessWorker, ABC):  # ABC: Prefect's registry of workers by type is to keep its own
    """Asks whether the server is there before it asks for runs, every two seconds and for as long as that takes.

    As it comes, a worker's question is repeated by Prefect's client after 2, 4, ... 512 s (which runs need, see
    `cli.service.environment`), so GPUs would stand idle for minutes after the server is back; with fewer repetitions
    the worker would give up and end, and its runs with it.
    """

    async def _get_scheduled_flow_runs(self) -> list[Any]:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):  # of this question only, not of the runs that follow
            while await self.client.api_healthcheck() is not None:
                await anyio.sleep(PAUSE_SECONDS)
            return await super()._get_scheduled_flow_runs()
