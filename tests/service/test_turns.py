"""Turns with a real Prefect and a real worker, on a group of their own: the long form of tests/api/dispatch/test_turns.py."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from storage.tables import BATCH, INTERACTIVE
from tests.contract.client import BLOCK_BLOB, Api, client, close_client, outside
from tests.service.processes import wait_for
from tests.service.watched import query
from tests.support import stand_in
from tests.support.group import Group

CROWD = 200
JOB_SECONDS = 2.0
ONE_AT_A_TIME = {
    "SPLATFLOW_DEPLOYMENT": stand_in.DEPLOYMENT,
    "SPLATFLOW_WORKER_LIMIT": "1",
    "SPLATFLOW_BATCH_EVERY": "3",
    stand_in.SECONDS: str(JOB_SECONDS),
}


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    """A group whose jobs take two seconds and do nothing."""
    group = Group(data=tmp_path_factory.mktemp("turns") / "group", environment=ONE_AT_A_TIME)
    client()  # made before there are threads
    try:
        group.start()
        stand_in.deploy(group.prefect_url, Path(group.data))
        yield group
    finally:
        group.stop()
        close_client()


class Account:
    """One that submits."""

    def __init__(self, group: Group, name: str) -> None:
        self.api = Api(group.url, group.make_key(name, account=name)["key"])
        upload = self.api.upload_url("mp4")
        outside("PUT", upload["url"], content=b"no video", headers=BLOCK_BLOB).raise_for_status()
        self.blob = upload["blob_name"]

    def submit(self, count: int, **fields: Any) -> list[str]:
        return [self.api.submit(blob_name=self.blob, **fields)["job_id"].replace("-", "") for _ in range(count)]


def started(group: Group) -> list[str]:
    """The jobs that were started, in order."""
    return [row["id"] for row in query(group, "SELECT id FROM job WHERE started_at IS NOT NULL ORDER BY started_at")]


def waits(group: Group) -> dict[str, float]:
    """Seconds from submit to start, by job."""
    sql = (
        "SELECT id, (julianday(started_at) - julianday(created_at)) * 86400 AS s FROM job WHERE started_at IS NOT NULL"
    )
    return {row["id"]: row["s"] for row in query(group, sql)}


@pytest.mark.campaign
def test_the_first_job_of_another_account_starts_next(queue: Group):
    crowd, other = Account(queue, "crowd"), Account(queue, "other")
    many = crowd.submit(CROWD)
    wait_for(lambda: len(started(queue)) >= 3, 300, queue.log_tail)
    (late,) = other.submit(1)
    before = len(started(queue))
    wait_for(lambda: late in started(queue), 120, queue.log_tail)
    order = started(queue)
    between = [job for job in order[before : order.index(late)] if job in many]
    print(f"{len(between)} of {CROWD} started between its submit and its start; it waited {waits(queue)[late]:.1f} s")
    # One may have been a worker's already, which takes seconds to begin.
    assert len(between) <= 1
    places = [row["queue_position"] for row in query(queue, "SELECT queue_position FROM job WHERE state = 'queued'")]
    assert len(places) > CROWD / 2
    crowd.api.delete_jobs()


@pytest.mark.campaign
def test_interactive_jobs_start_before_batch_ones_and_batch_gets_on(queue: Group):
    nightly, people = Account(queue, "nightly"), Account(queue, "people")
    batch = nightly.submit(6, priority=BATCH)
    wait_for(lambda: batch[0] in started(queue), 180, queue.log_tail)
    asked = people.submit(8)
    before = len(started(queue))
    wait_for(lambda: set(asked) <= set(started(queue)), 400, queue.log_tail)
    order = [job for job in started(queue)[before:] if job in {*batch, *asked}]
    kinds = [BATCH if job in batch else INTERACTIVE for job in order]
    print(kinds)
    begin = kinds.index(INTERACTIVE)
    assert begin <= 1, "one of batch may have been a worker's already"
    assert 2 <= kinds.count(BATCH) <= 4
    assert all(INTERACTIVE in pair for pair in pairwise(kinds[begin:]))
    assert [job for job in order if job in asked] == asked
