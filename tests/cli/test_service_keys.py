"""`splatflow keys`."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from storage import accounts
from storage.database import Database


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPLATFLOW_DATA", "SPLATFLOW_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


class Keys:
    """The command on a data folder, in this process."""

    def __init__(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data = data
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Any:
        main(["keys", *arguments, "--json", "--data", str(self.data)])
        return json.loads(self._capsys.readouterr().out)

    def refused(self, *arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["keys", *arguments, "--data", str(self.data)])
        assert ended.value.code == 2
        return self._capsys.readouterr().err

    def principal(self, secret: str) -> accounts.Principal | None:
        database = Database(f"sqlite:///{self.data / 'splatflow.db'}")
        try:
            return accounts.authenticate(database, secret)
        finally:
            database.close()


@pytest.fixture
def keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Keys:
    return Keys(tmp_path / "data", capsys)


def test_a_key_works_before_the_first_start_and_its_secret_is_nowhere(keys: Keys) -> None:
    made = keys("create", "--name", "laptop")
    assert made.keys() >= {"key", "id", "account", "plan", "scope", "expires_at"}
    assert (made["account"], made["plan"], made["scope"], made["expires_at"]) == ("laptop", "enterprise", "write", None)
    principal = keys.principal(made["key"])
    assert principal is not None
    assert str(principal.key_id) == made["id"]
    assert made["key"] not in json.dumps(keys("list"))
    for path in keys.data.rglob("*"):
        assert path.is_dir() or made["key"].encode() not in path.read_bytes()


def test_account_plan_scope_expiry_and_limits(keys: Keys) -> None:
    limits = ("--limit", "read=5/minute", "--limit", "submit=1/hour")
    made = keys(
        "create", "--name", "a", "--account", "b", "--plan", "free", "--scope", "read", "--expires-in", "60", *limits
    )
    assert (made["name"], made["account"], made["plan"], made["scope"]) == ("a", "b", "free", "read")
    expires = datetime.strptime(made["expires_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert timedelta(seconds=50) < expires - datetime.now(UTC) <= timedelta(seconds=60)
    principal = keys.principal(made["key"])
    assert principal is not None
    assert (principal.plan, principal.scope, principal.limits) == (
        "free",
        "read",
        {"read": "5/minute", "submit": "1/hour"},
    )
    assert keys("create", "--name", "c", "--account", "b")["plan"] == "free"


def test_rotated_and_revoked_keys_end_at_once(keys: Keys) -> None:
    made = keys("create", "--name", "a")
    rotated = keys("rotate", made["id"])
    assert rotated["key"] != made["key"]
    assert keys.principal(made["key"]) is None
    assert keys.principal(rotated["key"]) is not None
    assert keys("revoke", made["id"])["revoked_at"]
    assert keys.principal(rotated["key"]) is None
    assert "in force" in keys.refused("rotate", made["id"])
    assert [row["id"] for row in keys("list")] == [made["id"]]


def test_what_people_see(keys: Keys, capsys: pytest.CaptureFixture[str]) -> None:
    main(["keys", "list", "--data", str(keys.data)])
    assert "There are no keys" in capsys.readouterr().out
    main(["keys", "create", "--name", "a", "--expires-in", "60", "--data", str(keys.data)])
    assert "shown only now" in capsys.readouterr().out
    main(["keys", "list", "--data", str(keys.data)])
    shown = capsys.readouterr().out
    assert "enterprise" in shown
    assert "until 2" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "--name", ""),
        ("create", "--name", "a", "--expires-in", "0"),
        ("create", "--name", "a", "--expires-in", "99999999999999"),
        ("create", "--name", "a", "--limit", "read"),
        ("create", "--name", "a", "--limit", "read=often"),
        ("create", "--name", "a", "--limit", "look=5/minute"),
        ("create", "--name", "a", "--plan", "gold"),
        ("revoke", "nothing"),
        ("revoke", "00000000-0000-0000-0000-000000000000"),
    ],
)
def test_what_can_not_be_used_is_refused(keys: Keys, arguments: tuple[str, ...]) -> None:
    assert "error [bad_option]" in keys.refused(*arguments)
