"""Tells Prefect of the pools, their queues and the deployments. Does the same at every start, so nothing can go stale.

`prefect.yaml` says the same for `prefect deploy --all` on many machines; a test keeps the two together. Here it takes a
quarter of a second instead of six, needs no checkout, and runs write to the group's own log.
"""

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from cli.service.prefect_api import PrefectAnswered, insist
from flows.request import DEFAULT_QUEUE, HOUSEKEEPING_POOL, POOL, QUEUES

POOLS = {
    POOL: "Reconstructions. Takes more runs than there are GPUs; a training slot is a lease of its own.",
    HOUSEKEEPING_POOL: "Clearing up.",
}
POOL_QUEUES = {POOL: QUEUES, HOUSEKEEPING_POOL: {DEFAULT_QUEUE: 1}}
CONFLICT = 409  # there is one of that name
DEPLOYMENTS: list[dict[str, Any]] = [
    {
        "name": "reconstruct",
        "flow": "reconstruct",
        "entrypoint": "flows.reconstruct.reconstruct",
        "pool": POOL,
        "queue": DEFAULT_QUEUE,
        "parameters": {"job_id": "string"},
        "description": "One job, from its upload to a scene.",
    },
    {
        "name": "maintain",
        "flow": "maintain",
        "entrypoint": "flows.maintain.maintain",
        "pool": HOUSEKEEPING_POOL,
        "queue": DEFAULT_QUEUE,
        "parameters": {},
        "cron": "7 * * * *",
        "description": "Removes what nobody needs any more.",
    },
]


# What Prefect takes for process workers. Said here, since the server would ask a site outside for it.
TEMPLATE: dict[str, Any] = {
    "job_configuration": {
        name: "{{ " + name + " }}" for name in ("command", "env", "labels", "name", "stream_output", "working_dir")
    },
    "variables": {
        "type": "object",
        "properties": {
            "name": {"title": "Name", "type": "string"},
            "env": {"title": "Environment", "type": "object", "additionalProperties": {"type": "string"}},
            "labels": {"title": "Labels", "type": "object", "additionalProperties": {"type": "string"}},
            "command": {"title": "Command", "type": "string"},
            "stream_output": {"title": "Stream output", "type": "boolean", "default": True},
            "working_dir": {"title": "Working directory", "type": "string"},
        },
    },
}


def deploy(api_url: str, *, working_dir: str) -> None:
    """Makes or updates all of it.

    Args:
        api_url: of the Prefect server.
        working_dir: where the processes of runs begin.

    Raises:
        PrefectAnswered, OSError: Prefect refused, or is away.
    """
    for pool, description in POOLS.items():
        _pool(api_url, pool, description)
    for deployment in DEPLOYMENTS:
        flow_id = insist(api_url, "POST", "/flows/", {"name": deployment["flow"]})["id"]
        insist(api_url, "POST", "/deployments/", _body(deployment, flow_id, working_dir))


def schema(parameters: dict[str, str]) -> dict[str, Any]:
    """What Prefect shows of a flow's parameters: name -> JSON type, all required."""
    properties = {
        name: {"title": name, "type": kind, "position": position}
        for position, (name, kind) in enumerate(parameters.items())
    }
    found: dict[str, Any] = {"title": "Parameters", "type": "object", "properties": properties, "definitions": {}}
    return {**found, "required": list(parameters)} if parameters else found


def _pool(api_url: str, name: str, description: str) -> None:
    wanted = {"description": description, "base_job_template": TEMPLATE}
    try:
        insist(api_url, "POST", "/work_pools/", {"name": name, "type": "process", **wanted})
    except PrefectAnswered as error:
        if error.status != CONFLICT:
            raise
        insist(api_url, "PATCH", f"/work_pools/{name}", wanted)
    for queue, priority in POOL_QUEUES[name].items():
        try:
            insist(api_url, "POST", f"/work_pools/{name}/queues", {"name": queue, "priority": priority})
        except PrefectAnswered as error:
            if error.status != CONFLICT:
                raise
            insist(api_url, "PATCH", f"/work_pools/{name}/queues/{queue}", {"priority": priority})


def _body(deployment: dict[str, Any], flow_id: str, working_dir: str) -> dict[str, Any]:
    return {
        "name": deployment["name"],
        "flow_id": flow_id,
        "description": deployment["description"],
        "entrypoint": deployment["entrypoint"],
        "pull_steps": [],  # the code is installed, nothing is fetched
        "work_pool_name": deployment["pool"],
        "work_queue_name": deployment["queue"],
        "parameter_openapi_schema": schema(deployment["parameters"]),
        "enforce_parameter_schema": True,
        "tags": [],
        "job_variables": {
            # A command keeps the worker from copying a workspace, which takes ten seconds.
            "command": shlex.join([sys.executable, "-m", "cli.service.flow"]),
            # A pipe to the worker would break when the worker dies, and the run with it.
            "stream_output": False,
            "working_dir": working_dir,
        },
        "schedules": [_schedule(deployment["cron"])] if "cron" in deployment else [],
    }


def _schedule(cron: str) -> dict[str, Any]:
    return {"schedule": {"cron": cron, "timezone": "UTC"}, "active": True}


def main() -> None:
    """Works on the server of PREFECT_API_URL."""
    deploy(os.environ["PREFECT_API_URL"], working_dir=str(Path(os.environ["SPLATFLOW_DATA"]) / "work"))


if __name__ == "__main__":
    main()
