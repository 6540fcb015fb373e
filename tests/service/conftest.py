"""A group that notices a lost host after eight seconds, for tests of what becomes of jobs when parts of it die."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.client import BLOCK_BLOB, Api, client, close_client, outside
from tests.contract.clip import demo_clip
from tests.service.table import Table
from tests.service.watched import Watched
from tests.support.group import Group

HERE = Path(__file__).resolve().parent
IMPATIENT = {"SPLATFLOW_DEAD_AFTER_SECONDS": "8"}
Submit = Callable[..., Watched]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here need a whole group, started by the first of them."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.service)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="package")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    """The quick tests' group."""
    yield from _started(Group(data=tmp_path_factory.mktemp("crashes") / "group", environment=IMPATIENT))


@pytest.fixture(scope="package")
def default_group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    """A group with the settings that a user gets."""
    yield from _started(Group(data=tmp_path_factory.mktemp("crashes") / "default"))


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A video of which a scene can be made in half a minute."""
    return demo_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture(scope="package")
def submit(clip: bytes) -> Submit:
    """Uploads a clip, the demo clip unless told otherwise, and submits it."""
    number = 0
    keys: dict[Path, str] = {}

    def submit(group: Group, *, data: bytes | None = None, extension: str = "mp4", **options: Any) -> Watched:
        nonlocal number
        number += 1
        if group.data not in keys:
            keys[group.data] = group.make_key("crashes", account="crashes")["key"]
        api, title = Api(group.url, keys[group.data]), f"Job {number}"
        upload = api.upload_url(extension)
        outside("PUT", upload["url"], content=clip if data is None else data, headers=BLOCK_BLOB).raise_for_status()
        body = {"training_num_steps": 300, "training_max_num_gaussians": 6000, "train_side_px": 256, **options}
        answer = api.submit(blob_name=upload["blob_name"], title=title, **body)
        return Watched(group=group, api=api, id=answer["job_id"], title=title)

    return submit


@pytest.fixture(scope="package")
def table() -> Iterator[Table]:
    """Results of the campaign; written as Markdown where SPLATFLOW_CRASH_TABLE says."""
    table = Table()
    yield table
    if table.rows and (path := os.environ.get("SPLATFLOW_CRASH_TABLE")):
        Path(path).write_text(table.markdown())


def _started(group: Group) -> Iterator[Group]:
    client()  # made before there are threads
    try:
        group.start()
        yield group
    finally:
        group.stop()
        close_client()
