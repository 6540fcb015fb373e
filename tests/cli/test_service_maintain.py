"""`splatflow maintain`: the same round for people, on a data folder, whether the service runs or not."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from cli.main import main
from storage.local import LocalStore


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPLATFLOW_DATA", "SPLATFLOW_DATABASE_URL", "SPLATFLOW_OBJECT_STORE", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)


def test_a_dry_run_and_a_real_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    store = LocalStore(tmp_path / "objects", b"x")
    stray = f"videos/{uuid4()}.mp4"
    store.put_bytes(stray, b"12345")

    def maintain(*arguments: str) -> str:
        main(["maintain", "--data", str(tmp_path), *arguments])
        return capsys.readouterr().out

    assert json.loads(maintain("--json"))["removed"] == [], "it is young"
    found = json.loads(maintain("--dry-run", "--json", "--min-age", "0"))
    assert found["removed"] == [{"part": "uploads never submitted", "class": "uploads", "objects": 1, "bytes": 5}]
    assert [problem["part"] for problem in found["problems"]] == ["runs"], "no Prefect is at work here"
    assert (found["store"]["difference"], found["store"]["strays"]) == (5, [stray])
    told = maintain("--min-age", "0")
    assert "uploads never submitted" in told
    assert list(store.keys("")) == []
    assert json.loads(maintain("--json"))["store"]["balanced"]


def test_an_age_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["maintain", "--data", str(tmp_path), "--min-age", "-1"])
    assert ended.value.code == 2
    assert "--min-age" in capsys.readouterr().err
