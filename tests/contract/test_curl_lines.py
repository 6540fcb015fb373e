"""The curl commands of the public reference, as printed there but for host, key and ids."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.checks import BLOB_NAME, REFERENCE
from tests.contract.client import Api
from tests.contract.life import Life

REFERENCE_PAGE = Path(__file__).resolve().parents[3] / "shared" / "contract" / "vid2scene-api.txt"
HOST = "https://vid2scene.com"
PRINTED_JOB = "123e4567-e89b-12d3-a456-426614174000"
PRINTED_BLOB = "videos/uuid.mp4"


def commands() -> list[str]:
    """Every curl command of the reference, with its continued lines."""
    if not REFERENCE_PAGE.exists():
        return []
    return re.findall(r"^curl (?:.*\\\n)*.*$", REFERENCE_PAGE.read_text(), re.MULTILINE)


Run = Callable[..., str]


@pytest.fixture
def run(api: Api, tmp_path: Path) -> Run:
    """Runs the only printed command that holds all the words; what it wrote to standard output."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    if not REFERENCE_PAGE.exists():
        pytest.skip("the reference is not in ../shared/contract")

    def call(*words: str, job: str = "", blob: str = "") -> str:
        found = [command for command in commands() if all(word in command for word in words)]
        assert len(found) == 1, (words, found)
        text = found[0].replace(HOST, api.url).replace("YOUR_API_KEY", str(api.key))
        text = text.replace(PRINTED_JOB, job).replace(PRINTED_BLOB, blob)
        environment = {**os.environ, "NO_PROXY": "*", "no_proxy": "*"}
        done = subprocess.run(
            ["sh", "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def submitted(api: Api, text: str) -> dict[str, Any]:
    answer = json.loads(text)
    assert answer["success"] is True, answer
    assert answer["status"] == "queued"
    api.jobs.append(answer["job_id"])
    return answer


def test_all_commands_are_tested_here() -> None:
    if not REFERENCE_PAGE.exists():
        pytest.skip("the reference is not in ../shared/contract")
    assert len(commands()) == 9


def test_list(run: Run, job: str) -> None:
    listed = json.loads(run('api/v1/jobs/"'))
    assert {"job_id": job, "title": "A job of a test"} in listed


def test_update(run: Run, job: str) -> None:
    detail = json.loads(run("-X PATCH", job=job))
    assert set(detail) >= REFERENCE
    assert (detail["title"], detail["public"]) == ("Updated title", True)


def test_delete(run: Run, api: Api, job: str) -> None:
    assert run("-X DELETE", job=job) == ""
    assert api.get(f"jobs/{job}/").status_code == 404


def test_generate_upload_url(run: Run) -> None:
    body = json.loads(run("generate-upload-url"))
    assert BLOB_NAME.fullmatch(body["blob_name"])
    assert body["url"]


def test_submit(run: Run, api: Api, junk: str) -> None:
    answer = submitted(api, run("submit-job", "remove_background", blob=junk))
    assert answer["title"] == "My awesome video"
    assert (answer["reconstruction_method"], answer["public"], answer["remove_background"]) == ("glomap", False, False)


def test_submit_with_orbital_controls(run: Run, api: Api, junk: str) -> None:
    assert submitted(api, run("submit-job", "camera_type", blob=junk))["camera_type"] == "orbital"


def test_submit_with_a_tag(run: Run, api: Api, junk: str) -> None:
    answer = submitted(api, run("submit-job", "apriltag_size_mm", blob=junk))
    assert (answer["title"], answer["apriltag_size_mm"]) == ("My Room", 95.6)


def test_download(run: Run, finished: Life, tmp_path: Path) -> None:
    run("download/ply", job=finished.job)
    assert (tmp_path / "scene.ply").stat().st_size == finished.detail["files"]["ply"]["bytes"]


def test_preview(run: Run, finished: Life, tmp_path: Path) -> None:
    run("preview", job=finished.job)
    assert (tmp_path / "preview.jpg").read_bytes().startswith(b"\xff\xd8\xff")
