"""A job that is deleted while it is at work leaves nothing behind. Looks behind the API, so only at a group of its own."""

import time
from pathlib import Path

import pytest

from tests.contract.client import Api
from tests.contract.clip import demo_clip
from tests.contract.conftest import Service
from tests.contract.life import Life
from tests.support.inside import traces

GONE_WITHIN_SECONDS = 120


def test_a_deleted_job_leaves_nothing(service: Service, api: Api, finished: Life, tmp_path: Path) -> None:
    if service.group is None:
        pytest.skip("looks into the group's own database and store: not for a deployment elsewhere")
    assert finished.detail["status"] == "Finished"  # so that a worker is free
    blob = api.uploaded(demo_clip(tmp_path / "clip.mp4"))
    job = api.submit(blob_name=blob, title="Soon gone")["job_id"]
    upload = blob.removeprefix("videos/").partition(".")[0]
    deadline = time.monotonic() + 90
    while api.detail(job)["current_step"] != "sfm":
        assert time.monotonic() < deadline, api.detail(job)
        time.sleep(0.2)
    assert {"row of job", "flow_runs of Prefect"} <= set(traces(service.group, job, upload))
    assert api.request("DELETE", f"jobs/{job}/").status_code == 204
    deleted = time.monotonic()
    while found := traces(service.group, job, upload):
        assert time.monotonic() < deleted + GONE_WITHIN_SECONDS, found
        time.sleep(1)
