"""Finished jobs of a real group made again with more steps, through a kill of everything that runs."""

import hashlib
import json
import os
import time
from typing import Any
from uuid import UUID

import pytest

from tests.service.conftest import Submit
from tests.service.processes import wait_for
from tests.service.watched import Watched, query
from tests.support.group import Group

pytestmark = pytest.mark.campaign
JOBS = int(os.environ.get("SPLATFLOW_REPROCESS_JOBS", "10"))
STEPS, MORE_STEPS = 150, 450
END_SECONDS = 2400
WISHES: dict[str, Any] = {"jobs": {}, "set": {"training_num_steps": MORE_STEPS}, "at_once": 2}


@pytest.mark.timeout(2 * END_SECONDS)
def test_ten_finished_jobs_get_more_steps(group: Group, submit: Submit) -> None:
    jobs = [submit(group, training_num_steps=STEPS, training_max_num_gaussians=4000) for _ in range(JOBS)]
    old = [job.ended(seconds=END_SECONDS) for job in jobs]
    assert [detail["status"] for detail in old] == ["Finished"] * JOBS
    assert [job.made() for job in jobs] == [{"extract": 1, "sfm": 1, "train": 1, "export": 1}] * JOBS

    api, began = jobs[0].api, time.monotonic()
    batch_id = api.post("batches/", json=WISHES).json()["batch_id"]

    def batch() -> dict[str, Any]:
        return api.get(f"batches/{batch_id}/?limit=100").json()

    def training() -> bool:
        rows = query(group, "SELECT step FROM job WHERE reprocess_of IS NOT NULL AND state = 'running'")
        return any(row["step"] == "train" for row in rows)

    wait_for(training, 300, lambda: f"no try came to its training: {batch()}\n{group.log_tail()}")
    killed = group.kill("cli.service.flow")
    assert len(killed) >= 2, "the batch's run and a try's"
    for job, before in zip(jobs, old, strict=True):
        assert job.detail()["status"] == "Finished"
        _whole(group, job, before["training_num_steps"])
    wait_for(lambda: batch()["state"] == "finished", END_SECONDS, lambda: f"{batch()}\n{group.log_tail()}")
    took = time.monotonic() - began

    found = batch()
    new = [job.detail() for job in jobs]
    print(json.dumps({"seconds": round(took), "killed": len(killed), "counts": found["counts"]}))
    for item in found["items"]:
        print(
            item["state"], (item["before"] or {}).get("psnr_db"), (item["after"] or {}).get("psnr_db"), item["reason"]
        )
    assert found["counts"]["replaced"] + found["counts"]["kept"] == JOBS
    assert all(a["quality"]["psnr_db"] >= b["quality"]["psnr_db"] for a, b in zip(new, old, strict=True))
    for job, after in zip(jobs, new, strict=True):
        assert after["reprocessing"] is None
        made = job.made()
        assert (made["extract"], made["sfm"]) == (1, 1), "no cameras were looked for again"
        _whole(group, job, after["training_num_steps"])

    again = api.post("batches/", json=WISHES).json()
    path = f"batches/{again['batch_id']}/"
    wait_for(lambda: api.get(path).json()["state"] == "finished", 120, lambda: api.get(path).text)
    counts = api.get(path).json()["counts"]
    assert counts["skipped"] == found["counts"]["replaced"]
    assert [job.detail()["files"] for job in jobs if job.detail()["training_num_steps"] == MORE_STEPS] == [
        detail["files"] for detail in new if detail["training_num_steps"] == MORE_STEPS
    ]


def _whole(group: Group, job: Watched, steps: int) -> None:
    """The job's files are there and as its row says; the report is of the options that the row has."""
    files = json.loads(job.row()["files"])
    assert {"ply", "spz", "report"} <= files.keys()
    for file in files.values():
        content = (group.data / "objects" / file["key"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
    report = json.loads((group.data / "objects" / files["report"]["key"]).read_text())
    assert report["options"]["training_num_steps"] == steps
    assert UUID(job.id)
