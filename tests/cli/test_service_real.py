"""A real group: what Prefect knows, its pages, and a video through the commands."""

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from cli import demo
from cli.service import deploy
from flows import request
from flows.reprocess import reprocess
from tests.cli.conftest import ROOT, wait_until
from tests.support.group import Group, shared_group

FILES = {"scene.ply", "scene.spz", "preview.jpg", "camera.json", "views.zip", "report.json", "report.html"}
RESULT = FILES | {"images", "colmap"}
OUTSIDE = re.compile(r"""(?:src|href)=["']https?://(?!127\.0\.0\.1)[^"']*""")


@pytest.fixture(scope="module")
def group(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Group:
    return shared_group(request.config, tmp_path_factory.mktemp("service"))


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30, trust_env=False) as client:
        yield client


def test_prefect_yaml_says_what_a_group_deploys() -> None:
    said = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    assert said["pull"] == []
    ours = {d["name"]: d for d in deploy.DEPLOYMENTS}
    assert {d["name"] for d in said["deployments"]} == ours.keys()
    for deployment in said["deployments"]:
        mine = ours[deployment["name"]]
        assert deployment["entrypoint"] == mine["entrypoint"]
        assert deployment["description"] == mine["description"]
        assert deployment["work_pool"]["name"] == mine["pool"]
        assert deployment["work_pool"]["work_queue_name"] == mine["queue"]
        assert [s["cron"] for s in deployment.get("schedules", [])] == [mine[k] for k in ("cron",) if k in mine]
        assert [s.get("active", True) for s in deployment.get("schedules", [])] in ([], [mine.get("active", True)])
        assert [s.get("parameters", {}) for s in deployment.get("schedules", [])] in ([], [mine.get("values", {})])
    assert f"{ours['reconstruct']['flow']}/{ours['reconstruct']['name']}" == request.DEPLOYMENT
    assert f"{ours['reprocess']['flow']}/{ours['reprocess']['name']}" == request.BATCH_DEPLOYMENT
    assert list(ours["reprocess"]["parameters"]) == list(inspect.signature(reprocess.fn).parameters)


@pytest.mark.service
def test_prefect_has_the_pools_queues_and_deployments(group: Group, http: httpx.Client) -> None:
    def ask(path: str) -> Any:
        return http.post(f"{group.prefect_url}/api{path}", json={}).raise_for_status().json()

    assert {pool["name"] for pool in ask("/work_pools/filter")} == {"gpu", "housekeeping"}
    queues = {queue["name"]: queue["priority"] for queue in ask("/work_pools/gpu/queues/filter")}
    assert queues == request.QUEUES
    found = {d["name"]: d for d in ask("/deployments/filter")}
    assert found["reconstruct"]["entrypoint"] == "flows.reconstruct.reconstruct"
    assert found["reconstruct"]["parameter_openapi_schema"]["required"] == ["job_id"]
    assert "SECRET" not in json.dumps(list(found.values())).upper()
    assert [s["schedule"]["cron"] for s in found["maintain"]["schedules"]] == ["7 * * * *"]
    (by_night,) = found["reprocess"]["schedules"]
    assert (by_night["schedule"]["cron"], by_night["active"]) == ("0 22 * * *", False)
    assert "required" not in found["reprocess"]["parameter_openapi_schema"]


@pytest.mark.service
def test_scheduled_runs_are_made(group: Group, http: httpx.Client) -> None:
    """Prefect's scheduler makes runs ahead of their time; with some versions of its parts it only fails, in its log."""
    body = {"deployments": {"name": {"any_": ["maintain"]}}, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}

    def scheduled() -> bool:
        found = http.post(f"{group.prefect_url}/api/flow_runs/filter", json=body).raise_for_status().json()
        return any(run["auto_scheduled"] for run in found)

    wait_until(scheduled, 90)


@pytest.mark.service
def test_prefects_pages_are_there_and_ask_nobody_outside(group: Group, http: httpx.Client) -> None:
    page = http.get(f"{group.prefect_url}/").raise_for_status()
    assert page.headers["content-type"].startswith("text/html")
    assert OUTSIDE.findall(page.text) == []
    settings = http.get(f"{group.prefect_url}/ui-settings").raise_for_status().json()
    assert settings["api_url"] == f"{group.prefect_url}/api"
    server = psutil.Process(group.part_pids()["prefect"])
    assert server.environ()["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    for pid in group.part_pids().values():
        for connection in psutil.Process(pid).net_connections("inet"):
            assert not connection.raddr or connection.raddr.ip in ("127.0.0.1", "::1", "::ffff:127.0.0.1")


@pytest.mark.service
def test_the_api_comes_back_after_kill_9(group: Group, http: httpx.Client) -> None:
    before = group.part_pids()["api"]
    psutil.Process(before).kill()

    def back() -> bool:
        try:
            return group.part_pids().get("api", before) != before and http.get(f"{group.url}/readyz").is_success
        except httpx.TransportError:
            return False

    wait_until(back, 30)


@pytest.mark.service
def test_a_video_through_the_service_leaves_what_a_local_run_leaves(group: Group, tmp_path: Path) -> None:
    demo.write_clip(tmp_path / "room.mp4", frames=16, coarseness=2.0)
    out = tmp_path / "out"
    options = ("--steps", "100", "--max-gaussians", "2000", "--train-side-px", "160", "--max-frames", "12")
    environment = {n: v for n, v in os.environ.items() if n not in ("SPLATFLOW_URL", "SPLATFLOW_KEY")}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "cli.main", "reconstruct", str(tmp_path / "room.mp4")),
            *("--out", str(out), "--data", str(group.data), *options),
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr + group.log_tail()
    assert {path.name for path in out.iterdir()} == RESULT
    assert "held-out PSNR" in done.stdout
    report = json.loads((out / "report.json").read_text())
    assert report["training"]["steps"] == 100
    listed = group.command("jobs", "--data", str(group.data), "--url", group.url, "--key", kept_key(group))
    assert "room" in listed


def kept_key(group: Group) -> str:
    """The key that the command keeps in the data folder, for the owner only."""
    path = group.data / "run" / "client-key"
    assert path.stat().st_mode & 0o077 == 0
    return path.read_text().strip()
