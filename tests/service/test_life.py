"""The whole life of a job made of a real clip: over HTTP, on a real Prefect server and worker, until nothing is left of it."""

import io
import json
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tasks.gaussians.ply import read_ply
from tasks.gaussians.spz import read_spz
from tests.service.conftest import Submit
from tests.service.processes import wait_for
from tests.service.watched import ENDED, Watched, at_rest, everything, prefect, runs_of
from tests.support.group import Group

STEPS, MAX_GAUSSIANS = 150, 8000
ORDER = (r"Queued( - position: \d+)?", "Processing video", "Generating 3D scene", "Finished")
TASKS = {"extract", "mask", "sfm", "scale", "train", "export"}
GONE_WITHIN_SECONDS = 120
AGREEMENT_DB = 0.05


@pytest.mark.shared
def test_the_whole_life_of_a_job(group: Group, submit: Submit, shared_data: Path, tmp_path: Path) -> None:
    before = at_rest(group)
    video = (shared_data / "fox" / "video.mp4").read_bytes()
    options = {"training_num_steps": STEPS, "training_max_num_gaussians": MAX_GAUSSIANS, "max_frames": 25}
    job = submit(group, data=video, **options)
    previews = followed(job)
    check_what_was_seen(job, previews)
    check_prefect(group, job)
    check_files(job, tmp_path)
    check_figures(tmp_path)

    begun = time.monotonic()
    assert job.api.request("DELETE", f"jobs/{job.id}/").status_code == 204
    wait_for(
        lambda: everything(group) == before,
        GONE_WITHIN_SECONDS,
        lambda: str(
            {name: (value, before[name]) for name, value in everything(group).items() if value != before[name]}
        ),
    )
    print(f"nothing was left after {time.monotonic() - begun:.0f} s")


def followed(job: Watched) -> set[bytes]:
    """Polls until the job ends; returns the previews that were shown during the training."""
    previews: set[bytes] = set()
    deadline = time.monotonic() + 400
    while (detail := job.detail())["status"] not in ENDED:
        assert time.monotonic() < deadline, detail
        if detail["status"] == "Generating 3D scene":
            answer = job.api.get(f"jobs/{job.id}/preview/", follow_redirects=True)
            if answer.status_code == 200 and [hop.status_code for hop in answer.history] == [302]:
                previews.add(answer.content)
        time.sleep(0.2)
    assert detail["status"] == "Finished", (detail, job.group.log_tail())
    print(f"step seconds: {detail['quality']['step_seconds']}")
    return previews


def check_what_was_seen(job: Watched, previews: set[bytes]) -> None:
    """Statuses in the documented order, a rising percentage, pictures meanwhile."""
    places = [next(i for i, known in enumerate(ORDER) if re.fullmatch(known, status)) for status, _ in job.seen]
    assert places == sorted(places)
    assert set(places) == {0, 1, 2, 3}, job.seen
    percents = [percent for status, percent in job.seen if status == "Generating 3D scene" and percent is not None]
    assert percents == sorted(percents)
    assert len(set(percents)) > 2
    assert all(percent is None for status, percent in job.seen if status.startswith(("Queued", "Processing")))
    assert job.seen[-1] == ("Finished", 100)
    assert len(previews) >= 2
    for picture in previews:
        with Image.open(io.BytesIO(picture)) as image:
            assert image.format == "JPEG"
            image.load()


def check_prefect(group: Group, job: Watched) -> None:
    """A person can follow the job in Prefect, and finds nothing there that is the client's own."""
    (run,) = runs_of(group, job.id)
    assert run["name"] == job.title
    assert run["parameters"] == {"job_id": job.id}
    assert {f"job:{job.id}", "attempt:1", "glomap"} <= set(run["tags"])
    of_run = {"flow_runs": {"id": {"any_": [run["id"]]}}}

    def completed() -> bool:  # the client saw the job's end; the run's own comes a moment later
        return prefect(group, "GET", f"/flow_runs/{run['id']}")["state_type"] == "COMPLETED"

    wait_for(completed, 30, "the run did not complete")
    wait_for(
        lambda: {task["name"] for task in prefect(group, "POST", "/task_runs/filter", of_run)} >= TASKS,
        30,
        "not all tasks are shown",
    )

    def messages() -> str:
        wanted = {"logs": {"flow_run_id": {"any_": [run["id"]]}}, "limit": 200}
        return "\n".join(line["message"] for line in prefect(group, "POST", "/logs/filter", wanted))

    wait_for(lambda: all(f"{step}: done" in messages() for step in ("extract", "sfm", "train", "export")), 30, messages)
    assert re.search(r"train: \d+ %", messages())
    artifacts: list[dict[str, Any]] = prefect(group, "POST", "/artifacts/filter", of_run)
    told = "\n".join(str(artifact["data"]) for artifact in artifacts)
    assert "Held-out PSNR" in told
    assert "data:image/jpeg;base64," in told


def check_files(job: Watched, folder: Path) -> None:
    """Downloads everything as `curl -L` does, and reads it with the project's readers."""
    kinds = {
        "ply": "scene.ply",
        "spz": "scene.spz",
        "report": "report.json",
        "colmap": "colmap.zip",
        "camera": "camera.json",
        "views": "views.zip",
    }
    for kind, name in kinds.items():
        with httpx.Client(trust_env=False, follow_redirects=True, timeout=60) as curl:
            answer = curl.get(
                f"{job.api.url}/api/v1/jobs/{job.id}/download/{kind}/",
                headers={"Authorization": f"Api-Key {job.api.key}"},
            )
        assert answer.status_code == 200
        assert [hop.status_code for hop in answer.history] == [302]
        (folder / name).write_bytes(answer.content)
    with zipfile.ZipFile(folder / "colmap.zip") as archive:
        archive.extractall(folder)
    ply, spz = read_ply(folder / "scene.ply"), read_spz(folder / "scene.spz")
    quality = job.detail()["quality"]
    assert len(ply) == len(spz) == quality["num_gaussians"] <= MAX_GAUSSIANS
    assert quality["frames_registered"] >= 20
    report = json.loads((folder / "report.json").read_text())
    assert report["evaluation"]["psnr_db"] == quality["psnr_db"] > 15
    assert report["evaluation"]["held_out"]


def check_figures(folder: Path) -> None:
    """The report's figures are what an independent renderer measures on the downloaded files."""
    judge = Path(__file__).resolve().parents[3] / "shared" / "tools" / "evaluate_scene.py"
    if not judge.is_file():
        return
    done = subprocess.run(
        [sys.executable, str(judge), str(folder)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (off := re.search(r"off by ([+-][\d.]+) dB", done.stdout)), done.stdout
    assert abs(float(off[1])) < AGREEMENT_DB
