"""`splatflow accounts`, and the watermark in `splatflow doctor`."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli import doctor
from cli.main import main


@pytest.fixture
def accounts(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("SPLATFLOW_DATA", "SPLATFLOW_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str) -> str:
        main([*arguments, "--data", str(tmp_path / "data")])
        return capsys.readouterr().out

    return call


def test_quotas_are_set_shown_and_taken_back(accounts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no accounts" in accounts("accounts", "list")
    monkeypatch.setenv("SPLATFLOW_QUOTA_RUNNING", "2")
    accounts("keys", "create", "--name", "ann")
    told = json.loads(accounts("accounts", "set", "ann", "--quota", "queued=100", "--quota", "running=0", "--json"))
    assert told[0]["quotas"]["queued"] == {"limit": 100, "used": 0, "own": True}
    assert told[0]["quotas"]["running"] == {"limit": None, "used": 0, "own": True}
    assert told[0]["quotas"]["bytes"] == {"limit": None, "used": 0, "own": False}
    accounts("accounts", "set", "ann", "--quota", "running=default")
    assert json.loads(accounts("accounts", "list", "--json"))[0]["quotas"]["running"]["limit"] == 2
    assert "ann                   enterprise  running 0/2, queued 0/100*, bytes 0/any" in accounts("accounts", "list")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bob", "--quota", "queued=1"), "no account 'bob'"),
        (("ann", "--quota", "cores=1"), "running, queued, bytes, hours"),
        (("ann", "--quota", "queued=-1"), "whole one"),
    ],
)
def test_what_can_not_be_set(
    accounts: Any, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    accounts("keys", "create", "--name", "ann")
    with pytest.raises(SystemExit):
        accounts("accounts", "set", *arguments)
    assert said in capsys.readouterr().err


def test_doctor_tells_of_a_disk_below_the_watermark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLATFLOW_DATA", str(tmp_path))
    for low, state in (("1", "ok"), (str(1 << 60), "note")):
        monkeypatch.setenv("SPLATFLOW_DISK_LOW_BYTES", low)
        found = doctor._disk()
        assert found.state == state
        assert "uploads" in found.meaning
