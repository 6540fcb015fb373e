"""No secret is where others look: logs, rows, flow runs, artifacts, answers. Looks behind the API, so only at a group of its own."""

import json
import os
import time
from pathlib import Path

import psutil
import pytest

from tests.contract.client import Api
from tests.contract.conftest import Service
from tests.contract.life import Life
from tests.support.group import Group
from tests.support.inside import rows, shown

MAY_HOLD = {"secrets.json", "client-key"}  # readable by their owner only
SMALLEST_HIT = 8


@pytest.fixture
def group(service: Service, finished: Life) -> Group:
    """The group, after a job has gone all the way."""
    if service.group is None:
        pytest.skip("looks into the group's own folder: not for a deployment elsewhere")
    assert finished.detail["status"] == "Finished"
    return service.group


@pytest.fixture
def secrets(group: Group, key: str, read_key: str, revoked_key: str) -> dict[str, str]:
    found = {"key": key, "read key": read_key, "revoked key": revoked_key}
    found["signing secret"] = json.loads((group.data / "secrets.json").read_text())["signing_secret"]
    if "SPLATFLOW_S3_SECRET_KEY" in group.environment:
        found["S3 secret"] = group.environment["SPLATFLOW_S3_SECRET_KEY"]
    assert all(len(secret) > SMALLEST_HIT for secret in found.values())
    return found


def test_no_file_of_the_group_holds_one(group: Group, secrets: dict[str, str]) -> None:
    files = [path for path in group.data.rglob("*") if path.is_file() and path.name not in MAY_HOLD]
    assert {"api.log", "worker.log", "flows.log", "dispatcher.log"} <= {path.name for path in files}
    for path in files:
        _assert_clean(path.read_bytes(), secrets, str(path))
    for path in group.data.rglob("*"):
        if path.name in MAY_HOLD:
            assert path.stat().st_mode & 0o077 == 0, path


def test_no_row_holds_one(group: Group, secrets: dict[str, str]) -> None:
    for table, row in rows(group):
        _assert_clean(row.encode(), secrets, table)


def test_what_prefect_shows_holds_none(group: Group, secrets: dict[str, str], finished: Life) -> None:
    job_id, deadline = finished.detail["job_id"], time.monotonic() + 20
    seen = shown(group)
    while not any(job_id in (artifact["key"] or "") for artifact in seen["artifacts"]):  # comes after the job's end
        assert time.monotonic() < deadline, seen["artifacts"]
        time.sleep(0.5)
        seen = shown(group)
    for what, items in seen.items():
        _assert_clean(json.dumps(items).encode(), secrets, what)
    (run,) = (run for run in seen["flow_runs"] if run["parameters"].get("job_id") == job_id)
    assert run["parameters"] == {"job_id": job_id}


def test_no_command_line_holds_one(group: Group, secrets: dict[str, str]) -> None:
    processes = group.processes()
    assert len(processes) >= 4
    for process in processes:
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        _assert_clean(os.fsencode(line), secrets, line)


def test_signed_urls_hold_the_signature_and_no_secret(
    service: Service, secrets: dict[str, str], finished: Life
) -> None:
    api = Api(service.url, secrets["key"])
    answer = api.get(f"jobs/{finished.detail['job_id']}/download/ply/", follow_redirects=False)
    _assert_clean(answer.headers["location"].encode(), secrets, "Location")
    _assert_clean(api.upload_url()["url"].encode(), secrets, "upload URL")


def _assert_clean(content: bytes, secrets: dict[str, str], where: str | Path) -> None:
    for name, secret in secrets.items():
        assert secret.encode() not in content, f"the {name} is in {where}"
