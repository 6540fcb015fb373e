"""The contract suite: every row of the REST contract, put to a running service over HTTP.

It can be pointed at any deployment:

    SPLATFLOW_URL=https://host SPLATFLOW_KEY=... .venv/bin/python -m pytest tests/contract

| variable | |
|---|---|
| `SPLATFLOW_URL` | base URL without `/api/v1`; when unset, a group of one machine is started for the session, and all keys are made |
| `SPLATFLOW_KEY` | a key of an enterprise account with ample limits; its account gets jobs, and loses only those |
| `SPLATFLOW_OTHER_KEY` | a key of another enterprise account |
| `SPLATFLOW_READ_KEY` | a read-only key of the first account |
| `SPLATFLOW_FREE_KEY` | a key of an account without the enterprise plan |
| `SPLATFLOW_EXPIRED_KEY`, `SPLATFLOW_REVOKED_KEY` | keys out of force |
| `SPLATFLOW_LIMITED_KEY` | a key of the first account limited to 5 reads, 5 writes and 5 submits a minute |
| `SPLATFLOW_TEST_BACKENDS` | for the group that is started: `postgres`, `s3` or `postgres,s3` in place of SQLite and a folder |
| `SPLATFLOW_SCHEMA_EXAMPLES` | examples per operation of the schema test, default 100 |

Tests that need a key which isn't given are skipped and say so. One job made of a real clip runs in the background while the
quick tests do; the tests that need it come after them.
"""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.contract.client import Api, client, close_client
from tests.contract.life import Background, Life
from tests.support.group import AMPLE, Group, running_group, shared_group

SLOW_FIXTURES = {"finished": 1, "failed_job": 1}
LATE_FILES = {"test_curl_lines.py": 2, "test_schemathesis.py": 3, "test_hammer.py": 4, "test_end_of_a_job.py": 5}
HERE = Path(__file__).resolve().parent
SMALL = dict.fromkeys(AMPLE, "5/minute")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Quick tests first, so that the real job is done when the others ask for it; what breaks things comes last."""
    ours = [item for item in items if item.path.parent == HERE]
    for item in ours:
        item.add_marker(pytest.mark.service)

    def rank(item: pytest.Item) -> int:
        fixtures = getattr(item, "fixturenames", ())
        return max([LATE_FILES.get(item.path.name, 0), *(SLOW_FIXTURES.get(name, 0) for name in fixtures)])

    places = [i for i, item in enumerate(items) if item.path.parent == HERE]
    for place, item in zip(places, sorted(ours, key=rank), strict=True):
        items[place] = item


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failed test shows what the parts of the group last logged."""
    outcome: Any = yield
    report = outcome.get_result()
    group = running_group(item.config)
    if report.failed and group is not None:
        report.sections.append(("logs of the group", group.log_tail()))


@dataclass(frozen=True)
class Service:
    """The deployment under test, and its group when it is ours."""

    url: str
    group: Group | None

    def key(self, variable: str, name: str, **options: Any) -> str:
        """The key that the environment gives, or a new one of our own group; else the test is skipped."""
        given = os.environ.get(variable)
        if given:
            return given
        if self.group is None:
            pytest.skip(f"needs a key in {variable}")
        return self.group.make_key(name, **options)["key"]


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    url = os.environ.get("SPLATFLOW_URL")
    client()  # made before there are threads
    if url:
        yield Service(url.rstrip("/"), None)
    else:
        group = shared_group(request.config, tmp_path_factory.mktemp("service"))
        yield Service(group.url, group)
    close_client()


@pytest.fixture(scope="session")
def key(service: Service) -> str:
    return service.key("SPLATFLOW_KEY", "contract", account="contract", plan="enterprise")


@pytest.fixture(scope="session")
def read_key(service: Service) -> str:
    return service.key("SPLATFLOW_READ_KEY", "reader", account="contract", scope="read")


@pytest.fixture(scope="session")
def limited_key(service: Service) -> str:
    return service.key("SPLATFLOW_LIMITED_KEY", "limited", account="contract", limits=SMALL)


@pytest.fixture(scope="session")
def free_key(service: Service) -> str:
    return service.key("SPLATFLOW_FREE_KEY", "free", account="free", plan="free")


@pytest.fixture(scope="session")
def expired_key(service: Service) -> str:
    secret = service.key("SPLATFLOW_EXPIRED_KEY", "expired", account="contract", expires_in=1)
    time.sleep(1.5)
    return secret


@pytest.fixture(scope="session")
def revoked_key(service: Service) -> str:
    given = os.environ.get("SPLATFLOW_REVOKED_KEY")
    if given:
        return given
    if service.group is None:
        pytest.skip("needs a key in SPLATFLOW_REVOKED_KEY")
    made = service.group.make_key("revoked", account="contract")
    assert Api(service.url, made["key"]).get("jobs/").status_code == 200
    service.group.revoke_key(made["id"])
    return made["key"]


@pytest.fixture(scope="session")
def session_api(service: Service, key: str) -> Iterator[Api]:
    """The first account, for jobs that several tests look at."""
    api = Api(service.url, key)
    yield api
    api.delete_jobs()


@pytest.fixture
def api(service: Service, key: str) -> Iterator[Api]:
    """The first account; jobs submitted through it go at the end of the test."""
    api = Api(service.url, key)
    yield api
    api.delete_jobs()


@pytest.fixture
def junk(api: Api) -> str:
    """An upload of the first account that isn't a video; it goes with the jobs made of it."""
    return api.uploaded()


@pytest.fixture
def nobody(service: Service) -> Api:
    """A client without a key."""
    return Api(service.url, None)


@pytest.fixture(scope="session")
def other_key(service: Service) -> str:
    return service.key("SPLATFLOW_OTHER_KEY", "other", account="other", plan="enterprise")


@pytest.fixture
def other(service: Service, other_key: str) -> Iterator[Api]:
    """Another account."""
    api = Api(service.url, other_key)
    yield api
    api.delete_jobs()


@pytest.fixture
def job(api: Api, junk: str) -> str:
    """The id of a new job, which goes when the test ends."""
    return api.submit(blob_name=junk, title="A job of a test")["job_id"]


@pytest.fixture(scope="session", autouse=True)
def background(
    request: pytest.FixtureRequest, session_api: Api, tmp_path_factory: pytest.TempPathFactory
) -> Background | None:
    """Starts the real job with the first test, when any test of this session needs it."""
    if not any("finished" in getattr(item, "fixturenames", ()) for item in request.session.items):
        return None
    life = Life(session_api, tmp_path_factory.mktemp("clip"))
    thread = threading.Thread(target=life.follow, daemon=True)
    thread.start()
    return Background(life, thread)


@pytest.fixture(scope="session")
def finished(background: Background | None) -> Life:
    """A job of a real clip that went all the way."""
    assert background is not None
    life = background.finished()
    assert life.detail["status"] == "Finished", life.detail
    return life


@pytest.fixture(scope="session")
def failed_job(session_api: Api) -> str:
    """A job that ended because its upload isn't a video."""
    job = session_api.submit(blob_name=session_api.uploaded(), title="Not a video")["job_id"]
    deadline = time.monotonic() + 180
    while (detail := session_api.detail(job))["status"] != "Failed":
        assert time.monotonic() < deadline, detail
        time.sleep(0.3)
    return job
