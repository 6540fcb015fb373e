"""Tells Prefect of the pools, their queues and the deployments. Does the same at every start, so nothing can go stale.

`prefect.yaml` says the same for `prefect deploy --all`; a test keeps the two together. Here it takes a quarter of a second
instead of six, needs no checkout, and runs write to the log of their data folder.
"""

import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.service.prefect_api import PrefectAnswered, insist
from flows.request import DEFAULT_QUEUE, HOUSEKEEPING_POOL, POOL, QUEUES
from tasks.errors import BadOption

POOLS = {
    POOL: "Reconstructions. Takes more runs than there are GPUs; a training slot is a lease of its own.",
    HOUSEKEEPING_POOL: "Clearing up, and looking after batches.",
}
POOL_QUEUES = {POOL: QUEUES, HOUSEKEEPING_POOL: {DEFAULT_QUEUE: 1}}
CONFLICT = 409  # there is one of that name
MISSING = 404
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
        "parameters": {"dry_run": "boolean", "min_age_seconds": "number"},
        "optional": True,
        "cron": "7 * * * *",
        "description": "Removes what nobody needs any more.",
    },
    {
        "name": "reprocess",
        "flow": "reprocess",
        "entrypoint": "flows.reprocess.reprocess",
        "pool": HOUSEKEEPING_POOL,
        "queue": DEFAULT_QUEUE,
        "parameters": {
            "batch_id": "string",
            "status": "string",
            "older_than_days": "number",
            "title": "string",
            "job_ids": "array",
            "pipeline": "array",
            "not_pipeline": "array",
            "account": "string",
            "options": "object",
            "at_once": "integer",
            "priority": "string",
            "hours": "string",
            "time_zone": "string",
            "rule": "string",
            "epsilon_db": "number",
        },
        "optional": True,
        "values": {"not_pipeline": ["current"]},
        "cron": "0 22 * * *",
        "active": False,
        "description": "Makes finished jobs again, and keeps what is better.",
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


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How the runs of a pool are started.

    Attributes:
        type: of the pool, as Prefect names it.
        template: the pool's base job template.
        job_variables: of its deployments.
    """

    type: str = "process"
    template: dict[str, Any]
    job_variables: dict[str, Any]


def of_group(working_dir: str) -> Kind:
    """Processes on this machine, which begin in `working_dir`."""
    command = shlex.join([sys.executable, "-m", "cli.service.flow"])
    return Kind(template=TEMPLATE, job_variables={**_process_variables(command), "working_dir": working_dir})


def of_workers() -> Kind:
    """Processes wherever a worker is: nothing in it is a path of this machine."""
    return Kind(template=TEMPLATE, job_variables=_process_variables("python -m cli.service.flow"))


def of_kubernetes(template: Path) -> Kind:
    """Jobs of a cluster, made from a file like `deploy/kubernetes/components/kubernetes-pool/base-job-template.json`.

    Raises:
        BadOption: the file can't be read, or is no base job template.
    """
    try:
        found = json.loads(template.read_text())
        if not {"job_configuration", "variables"} <= found.keys():
            raise ValueError
    except (OSError, ValueError, AttributeError):
        raise BadOption(
            f"{template} is no base job template; give a JSON file with `job_configuration` and `variables`."
        ) from None
    return Kind(type="kubernetes", template=found, job_variables={})


def deploy(api_url: str, kind: Kind, *, housekeeping: Kind | None = None) -> None:
    """Makes or updates all of it.

    Args:
        api_url: of the Prefect server.
        kind: how reconstructions are started.
        housekeeping: how housekeeping is; like reconstructions when None.

    Raises:
        BadOption: a pool is there already, and of another type.
        PrefectAnswered, OSError: Prefect refused, or is away.
    """
    kinds = {POOL: kind, HOUSEKEEPING_POOL: housekeeping or kind}
    for pool, description in POOLS.items():
        _pool(api_url, pool, description, kinds[pool])
    for deployment in DEPLOYMENTS:
        flow_id = insist(api_url, "POST", "/flows/", {"name": deployment["flow"]})["id"]
        body = _body(deployment, flow_id, kinds[deployment["pool"]].job_variables)
        if not deployment.get("active", True):
            body |= _as_left(api_url, deployment)
        insist(api_url, "POST", "/deployments/", body)


def _as_left(api_url: str, deployment: dict[str, Any]) -> dict[str, Any]:
    """Schedules and values of a deployment whose schedule is the operator's to switch on, as they are in Prefect already."""
    try:
        found = insist(api_url, "GET", f"/deployments/name/{deployment['flow']}/{deployment['name']}")
    except PrefectAnswered as error:
        if error.status != MISSING:
            raise
        return {}
    kept = ("schedule", "active", "parameters")
    schedules = [{name: one[name] for name in kept if name in one} for one in found.get("schedules") or []]
    return {"schedules": schedules, "parameters": found.get("parameters") or {}}


def schema(parameters: dict[str, str], *, optional: bool = False) -> dict[str, Any]:
    """What Prefect shows of a flow's parameters: name -> JSON type, all required or none."""
    properties = {
        name: {"title": name, "type": kind, "position": position}
        for position, (name, kind) in enumerate(parameters.items())
    }
    found: dict[str, Any] = {"title": "Parameters", "type": "object", "properties": properties, "definitions": {}}
    return {**found, "required": list(parameters)} if parameters and not optional else found


def _process_variables(command: str) -> dict[str, Any]:
    return {
        # A command keeps the worker from copying a workspace, which takes ten seconds.
        "command": command,
        # A pipe to the worker would break when the worker dies, and the run with it.
        "stream_output": False,
    }


def _pool(api_url: str, name: str, description: str, kind: Kind) -> None:
    wanted = {"description": description, "base_job_template": kind.template}
    try:
        insist(api_url, "POST", "/work_pools/", {"name": name, "type": kind.type, **wanted})
    except PrefectAnswered as error:
        if error.status != CONFLICT:
            raise
        there = insist(api_url, "GET", f"/work_pools/{name}")["type"]
        if there != kind.type:  # Prefect doesn't change it
            raise BadOption(
                f"The work pool {name} is of type {there}, not {kind.type}; let its runs end and delete it first "
                f"(`prefect work-pool delete {name}`)."
            ) from None
        insist(api_url, "PATCH", f"/work_pools/{name}", wanted)
    for queue, priority in POOL_QUEUES[name].items():
        try:
            insist(api_url, "POST", f"/work_pools/{name}/queues", {"name": queue, "priority": priority})
        except PrefectAnswered as error:
            if error.status != CONFLICT:
                raise
            insist(api_url, "PATCH", f"/work_pools/{name}/queues/{queue}", {"priority": priority})


def _body(deployment: dict[str, Any], flow_id: str, job_variables: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": deployment["name"],
        "flow_id": flow_id,
        "description": deployment["description"],
        "entrypoint": deployment["entrypoint"],
        "pull_steps": [],  # the code is installed, nothing is fetched
        "work_pool_name": deployment["pool"],
        "work_queue_name": deployment["queue"],
        "parameter_openapi_schema": schema(deployment["parameters"], optional=deployment.get("optional", False)),
        "enforce_parameter_schema": True,
        "tags": [],
        "job_variables": job_variables,
        "schedules": [_schedule(deployment)] if "cron" in deployment else [],
    }


def _schedule(deployment: dict[str, Any]) -> dict[str, Any]:
    return {
        "schedule": {"cron": deployment["cron"], "timezone": "UTC"},
        "active": deployment.get("active", True),
        "parameters": deployment.get(
            "values", {}
        ),  # of the schedule alone: other runs get what they are asked for with
    }


def main() -> None:
    """Works on the server of PREFECT_API_URL, for the group of the data folder."""
    deploy(os.environ["PREFECT_API_URL"], of_group(str(Path(os.environ["SPLATFLOW_DATA"]) / "work")))


if __name__ == "__main__":
    main()
