"""`splatflow maintain`: the same round for people, on a data folder, whether the service runs or not."""

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from cli.main import main
from flows import past_runs
from storage.database import Database
from storage.footprint import CLASSES
from storage.local import LocalStore
from storage.removed import Removed
from tests.support.group import Group, shared_group


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPLATFLOW_DATA", "SPLATFLOW_DATABASE_URL", "SPLATFLOW_OBJECT_STORE", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)


def test_a_dry_run_and_a_real_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    store = LocalStore(tmp_path / "objects", b"x")
    stray = f"videos/{uuid4()}.mp4"
    store.put_bytes(stray, b"12345")

    def maintain(*arguments: str) -> str:
        main(["maintain", "--data", str(tmp_path), *arguments])
        return capsys.readouterr().out

    assert json.loads(maintain("--json"))["removed"] == [], "it is young"
    found = json.loads(maintain("--dry-run", "--json", "--min-age", "0"))
    assert found["removed"] == [{"part": "uploads never submitted", "class": "uploads", "objects": 1, "bytes": 5}]
    assert [problem["part"] for problem in found["problems"]] == ["runs"], "no Prefect is at work here"
    assert (found["store"]["difference"], found["store"]["strays"]) == (5, [stray])
    told = maintain("--min-age", "0")
    assert "uploads never submitted" in told
    assert list(store.keys("")) == []
    assert json.loads(maintain("--json"))["store"]["balanced"]


def test_an_age_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["maintain", "--data", str(tmp_path), "--min-age", "-1"])
    assert ended.value.code == 2
    assert "--min-age" in capsys.readouterr().err


@pytest.mark.service
def test_a_round_in_prefect_and_by_hand(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory):
    group = shared_group(pytestconfig, tmp_path_factory.mktemp("maintain"))

    def prefect(method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(method, f"{group.prefect_url}/api{path}", json=body, trust_env=False)
        return answer.raise_for_status().json()

    stray = _run_of_no_job(group, prefect)
    deployment = prefect("GET", "/deployments/name/maintain/maintain")["id"]
    run = prefect("POST", f"/deployments/{deployment}/create_flow_run", {"parameters": {"dry_run": True}})
    deadline = time.monotonic() + 90
    while (state := prefect("GET", f"/flow_runs/{run['id']}")["state"])["type"] not in ("COMPLETED", "FAILED"):
        assert time.monotonic() < deadline, f"{state}\n{group.log_tail()}"
        time.sleep(0.5)
    assert state["type"] == "COMPLETED", state
    assert "would be removed" in state["message"]
    body = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
    made = {artifact["key"]: json.loads(artifact["data"]) for artifact in prefect("POST", "/artifacts/filter", body)}
    assert made.keys() >= {"housekeeping", "store"}
    assert [row["class"] for row in made["store"]] == [*CLASSES, "all"]

    found = json.loads(group.command("maintain", "--data", str(group.data), "--dry-run", "--json"))
    assert found["problems"] == [], "its Prefect was asked"
    assert found["store"]["stored"] > 0 or found["store"]["objects"] == 0
    assert prefect("GET", f"/flow_runs/{stray}")["id"] == stray, "it ended a moment ago"


def _run_of_no_job(group: Group, prefect: Any) -> str:
    """A run that has ended, of a job that has no row; as the dispatcher makes it."""
    flow_id = prefect("POST", "/flows/", {"name": "reconstruct"})["id"]
    body = {"flow_id": flow_id, "tags": [f"job:{uuid4()}", "attempt:1"], "state": {"type": "COMPLETED"}}
    run_id = prefect("POST", "/flow_runs/", body)["id"]
    known = prefect("POST", "/flow_runs/", {**body, "tags": ["of nobody"]})["id"]
    database = Database(f"sqlite:///{group.data / 'splatflow.db'}")
    url = f"{group.prefect_url}/api"
    with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_API_URL: url}):
        patch.setattr(past_runs, "SETTLED", timedelta(seconds=-5))
        found = [past_runs.clear(database, dry_run=dry) for dry in (True, False, False)]
    database.close()
    one = [Removed(kind="runs of jobs", objects=1, bytes=0)]
    assert found == [one, one, []]
    with pytest.raises(httpx.HTTPStatusError):
        prefect("GET", f"/flow_runs/{run_id}")
    assert prefect("GET", f"/flow_runs/{known}")["id"] == known
    return prefect("POST", "/flow_runs/", body)["id"]
