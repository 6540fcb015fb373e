"""`splatflow status` without a job: what waits and what is at work."""

import io
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from rich.console import Console

from cli.client import board, http
from cli.main import main

KEY, URL = "sf_test", "http://deployment.test"
FIRST, SECOND, THIRD = (f"{number}{'0' * 7}-0000-4000-8000-000000000000" for number in (1, 2, 3))


def job(job_id: str, status: str, **values: Any) -> dict[str, Any]:
    return {"job_id": job_id, "title": "A room", "status": status, "percent_complete": None, **values}


TRAINING = job(FIRST, "Generating 3D scene", current_step="train", percent_complete=45, estimated_time_remaining=432)
POSING = job(SECOND, "Processing video", current_step="sfm", step_percent=12, title="[bold]a\x1b[2J b")
WAITING = job(THIRD, "Queued - position: 3", queue_position=3)


class Deployment:
    """Lists jobs, in `rounds` one after the other; `plain` ones have ids and titles only, as the reference does."""

    def __init__(self, *rounds: list[dict[str, Any]], plain: bool = False) -> None:
        self.rounds, self.plain = list(rounds), plain

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1/jobs/").strip("/")
        now = self.rounds[0]
        if path:
            return httpx.Response(200, json=next(one for one in now if one["job_id"] == path))
        if self.plain:
            return httpx.Response(200, json=[{"job_id": one["job_id"], "title": one["title"]} for one in now])
        assert request.url.params["detail"] == "true"
        waits = request.url.params["status"] == "queued"
        if not waits and len(self.rounds) > 1:  # the second question of a look
            self.rounds.pop(0)
        return httpx.Response(200, json=[one for one in now if one["status"].startswith("Queued") == waits])


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    real = http.Api.__init__
    monkeypatch.setattr(board.time, "sleep", lambda _: None)
    monkeypatch.setenv("SPLATFLOW_URL", URL)
    monkeypatch.setenv("SPLATFLOW_KEY", KEY)

    def run(deployment: Deployment, *arguments: str) -> tuple[int, str, str]:
        def init(self: http.Api, url: str, key: str, **options: Any) -> None:
            real(self, url, key, **{**options, "transport": httpx.MockTransport(deployment)})

        monkeypatch.setattr(http.Api, "__init__", init)
        code = main(["status", *arguments])
        said = capsys.readouterr()
        return code or 0, said.out, said.err

    return run


@pytest.mark.parametrize("plain", [False, True])
def test_what_is_at_work_comes_first(command: Callable[..., Any], plain: bool) -> None:
    finished = job("f" * 36, "Finished")
    deployment = Deployment([WAITING, finished, POSING, TRAINING], plain=plain)
    code, out, _ = command(deployment)
    assert code == 0
    assert out.splitlines() == [
        f"{FIRST}  Generating 3D scene  train  45 %  about 7 min 12 s left  A room",
        f"{SECOND}  Processing video  sfm  12 %  [bold]a [2J b",
        f"{THIRD}  Queued - position: 3  A room",
    ]


def test_nothing_to_see(command: Callable[..., Any]) -> None:
    assert command(Deployment([]))[1] == f"{board.NONE}\n"
    assert command(Deployment([]), "--watch")[1].endswith(f"{board.NONE}\n")


def test_json_is_all_that_goes_to_standard_output(command: Callable[..., Any]) -> None:
    assert json.loads(command(Deployment([TRAINING]), "--json")[1]) == [TRAINING]
    code, out, err = command(Deployment([TRAINING], []), "--json", "--watch")
    assert (code, json.loads(out)) == (0, [])
    assert FIRST in err


def test_watching_elsewhere_tells_what_has_changed(command: Callable[..., Any]) -> None:
    later = {**TRAINING, "percent_complete": 50}
    code, out, _ = command(Deployment([TRAINING, WAITING], [TRAINING, WAITING], [later, WAITING], []), "--watch")
    assert code == 0
    told = [line[10:] for line in out.splitlines()]
    assert [line.split()[0] for line in told] == [FIRST, THIRD, FIRST, "No"]
    assert "50 %" in told[2]


@pytest.mark.parametrize("width", [80, 116, 200])
def test_on_a_terminal_a_job_is_a_line_with_its_whole_id(width: int) -> None:
    stream = io.StringIO()
    board.show([TRAINING, POSING, WAITING], Console(file=stream, width=width, force_terminal=True, color_system=None))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) <= width
    assert [line.split()[0] for line in lines[1:]] == [FIRST, SECOND, THIRD]
    assert "45 %" in lines[1]
    assert "queued, place 3" in lines[3]
    assert ("━" in lines[1]) == (width >= board.WIDE)
    assert "\x1b" not in stream.getvalue()


def test_watching_on_a_terminal_ends_when_none_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board.time, "sleep", lambda _: None)
    rounds = [[TRAINING], [TRAINING], []]
    stream = io.StringIO()
    board.watch(lambda: rounds.pop(0), Console(file=stream, width=120, force_terminal=True))
    assert rounds == []
    assert board.NONE in stream.getvalue()
