"""`splatflow reprocess` and `batches`: what is read of options, and the commands against the API itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from cli.client import commands, http, reprocess
from cli.main import main
from storage import naming
from storage.database import Database
from tasks.errors import BadOption
from tests.api.site import Site, new_site

URL = "http://127.0.0.1:1"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An API, and commands that talk to it."""
    empty = tmp_path / "empty.db"
    database = Database(f"sqlite:///{empty}")
    database.migrate()
    database.close()
    site = new_site(tmp_path, empty)

    def answer(request: httpx.Request) -> httpx.Response:
        got = site.client.request(
            request.method, request.url.raw_path.decode(), content=request.content, headers=dict(request.headers)
        )
        return httpx.Response(got.status_code, headers=dict(got.headers), content=got.content)

    @contextmanager
    def opened(_args: Any) -> Iterator[Any]:
        with http.Api(URL, site.key, transport=httpx.MockTransport(answer)) as api:
            yield api, True

    monkeypatch.setattr(commands, "opened", opened)
    yield site
    site.close()


def test_what_the_options_say():
    assert reprocess.option("training-num-steps=30_000") == ("training_num_steps", 30_000)
    assert reprocess.option("mesh=yes") == ("mesh", True)
    assert reprocess.option("apriltag_size_mm=95.6") == ("apriltag_size_mm", 95.6)
    assert reprocess.option("max_frames=") == ("max_frames", None)
    assert [reprocess.days(text) for text in ("30d", "12h", "1.5w")] == [30, 0.5, 10.5]
    for wrong in ("title=x", "mesh", "mesh=perhaps", "training_num_steps=many"):
        with pytest.raises(BadOption):
            reprocess.option(wrong)
    with pytest.raises(BadOption):
        reprocess.days("a month")


def test_from_a_dry_run_to_the_end_of_a_batch(site: Site, capsys: pytest.CaptureFixture[str]):
    job_id = site.submit(title="kitchen 1", training_num_steps=100)["job_id"]
    site.finish(job_id, ply=b"ply")
    site.set(job_id, step_seconds={"extract": 1.0, "sfm": 2.0, "train": 30.0, "export": 1.0})
    for step in ("extract", "sfm"):
        site.store.put_bytes(naming.step_key(UUID(job_id), step, "d"), b"tar")
    wanted = ["reprocess", "--title", "kit*", "--set", "training_num_steps=200", "--at-once", "2"]

    main([*wanted, "--dry-run"])
    said = capsys.readouterr().out
    assert "kitchen 1: runs train export, uses extract sfm again, about 1 min" in said
    assert "1 jobs match, 0 would be skipped" in said
    main(["batches"])
    assert capsys.readouterr().out == "There are no batches.\n"

    main([*wanted, "--hours", "22:00-06:00", "--time-zone", "Europe/Berlin"])
    said = capsys.readouterr().out
    assert "better; 2 at once, 22:00-06:00 Europe/Berlin" in said
    batch_id = said.split()[1]
    main(["batches"])
    assert capsys.readouterr().out == f"{batch_id}  running    1 waiting\n"
    main(["batches", batch_id, "--cancel"])
    said = capsys.readouterr().out
    assert "1 skipped" in said
    assert f"{job_id}  skipped       - ->     - dB  kitchen 1  The batch was cancelled." in said

    with pytest.raises(SystemExit):
        main(["batches", "nonsense"])
    assert "error [batch_not_found]" in capsys.readouterr().err
