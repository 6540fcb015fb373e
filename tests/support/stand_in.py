"""A flow that takes a job, waits, and finishes it: for tests and figures of the queue, with a real Prefect and real workers."""

import os
import time
from pathlib import Path
from uuid import UUID

from prefect import flow
from prefect.runtime import flow_run as this_run

from cli.service.deploy import of_group, schema
from cli.service.prefect_api import insist
from flows import request
from storage.attempts import claim
from storage.database import database

SECONDS = "SPLATFLOW_TEST_JOB_SECONDS"
DEPLOYMENT = "stand-in/stand-in"


@flow(name="stand-in", persist_result=False, validate_parameters=False)
def stand_in(job_id: str) -> None:
    """Holds the job for as long as the environment says."""
    number = request.attempt_of(this_run.tags or [])
    assert number is not None
    attempt = claim(database(), UUID(job_id), UUID(str(this_run.id)), number)
    time.sleep(float(os.environ.get(SECONDS, "1")))
    attempt.finish(files={}, quality={}, scale=None)


def deploy(prefect_url: str, data: Path) -> None:
    """Makes the group of a data folder, which was started with `SPLATFLOW_DEPLOYMENT` set to ours, run this flow."""
    api = f"{prefect_url}/api"
    body = {
        "name": "stand-in",
        "flow_id": insist(api, "POST", "/flows/", {"name": "stand-in"})["id"],
        "entrypoint": "tests.support.stand_in.stand_in",
        "pull_steps": [],
        "work_pool_name": request.POOL,
        "work_queue_name": request.DEFAULT_QUEUE,
        "parameter_openapi_schema": schema({"job_id": "string"}),
        "job_variables": of_group(str(data / "work")).job_variables,
    }
    insist(api, "POST", "/deployments/", body)
