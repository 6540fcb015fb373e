"""Keys: the secret is nowhere but with its owner, and a key that has ended opens nothing."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlmodel import SQLModel

from storage import accounts
from storage.database import Database
from storage.tables import now
from tasks.errors import BadOption


def test_a_key_opens_its_account_as_it_was_made(database: Database):
    key, account, secret = accounts.create_key(
        database, name="k", account="a", plan="free", scope="read", limits={"read": "5/minute"}
    )
    who = accounts.authenticate(database, secret)
    assert who == accounts.Principal(
        key_id=key.id, account_id=account.id, plan="free", scope="read", limits={"read": "5/minute"}
    )
    assert secret.startswith(accounts.KEY_PREFIX)
    assert len(secret) >= 43


def test_several_keys_share_an_account(database: Database):
    _, first, one = accounts.create_key(database, name="one", account="a")
    _, second, two = accounts.create_key(database, name="two", account="a", plan="free")
    assert first.id == second.id
    assert one != two
    assert {key.name for key, _ in accounts.list_keys(database)} == {"one", "two"}
    # The plan is the account's: what the second key said holds for the first too.
    assert (who := accounts.authenticate(database, one)) is not None
    assert who.plan == "free"
    accounts.create_key(database, name="three", account="a")
    assert (who := accounts.authenticate(database, one)) is not None
    assert who.plan == "free"


def test_a_revoked_key_is_unknown_at_once_and_stays_so(database: Database):
    key, _, secret = accounts.create_key(database, name="k")
    accounts.revoke_key(database, key.id)
    assert accounts.authenticate(database, secret) is None
    ((row, _),) = accounts.list_keys(database)
    accounts.revoke_key(database, key.id)
    ((again, _),) = accounts.list_keys(database)
    assert row.revoked_at == again.revoked_at
    with pytest.raises(BadOption, match="in force"):
        accounts.rotate_key(database, key.id)


def test_a_rotated_key_has_one_secret_and_keeps_the_rest(database: Database):
    key, _, old = accounts.create_key(database, name="k", scope="read", limits={"read": "5/minute"})
    new = accounts.rotate_key(database, key.id)
    assert accounts.authenticate(database, old) is None
    assert (who := accounts.authenticate(database, new)) is not None
    assert (who.key_id, who.scope, who.limits) == (key.id, "read", {"read": "5/minute"})


def test_a_key_ends_when_it_expires(database: Database):
    _, _, past = accounts.create_key(database, name="past", expires_at=now() - timedelta(seconds=1))
    _, _, future = accounts.create_key(database, name="future", expires_at=now() + timedelta(minutes=1))
    assert accounts.authenticate(database, past) is None
    assert accounts.authenticate(database, future) is not None


@pytest.mark.parametrize("secret", ["", "sfk_", "sfk_" + "x" * 1000, "\udc80", "é", "' OR 1=1 --", "\x00"])
def test_what_is_no_key_opens_nothing(database: Database, secret: str):
    accounts.create_key(database, name="k")
    assert accounts.authenticate(database, secret) is None


@pytest.mark.parametrize(
    "wrong", [{"plan": "gold"}, {"scope": "all"}, {"name": ""}, {"name": "x" * 256}, {"account": "x" * 256}]
)
def test_values_that_cannot_be_used_are_refused(database: Database, wrong: dict[str, str]):
    with pytest.raises(BadOption):
        accounts.create_key(database, **{"name": "k", **wrong})
    assert accounts.list_keys(database) == []


def test_a_key_that_does_not_exist_can_be_neither_revoked_nor_rotated(database: Database):
    for act in (accounts.revoke_key, accounts.rotate_key):
        with pytest.raises(BadOption, match="There is no key"):
            act(database, uuid4())


def test_no_secret_in_any_column(database: Database):
    key, _, secret = accounts.create_key(database, name="k")
    with database.read() as session:
        rows = [
            repr(session.connection().execute(text(f'SELECT * FROM "{table.name}"')).all())
            for table in SQLModel.metadata.sorted_tables
        ]
    assert secret.removeprefix(accounts.KEY_PREFIX) not in "".join(rows)
    assert key.secret_sha256 in "".join(rows)


def test_no_secret_in_the_bytes_of_the_files(sqlite_database: Database, tmp_path: Path):
    key, _, first = accounts.create_key(sqlite_database, name="k")
    second = accounts.rotate_key(sqlite_database, key.id)
    files = list((tmp_path / "data").glob("splatflow.db*"))
    assert len(files) >= 2, "the write-ahead log counts too"
    written = b"".join(path.read_bytes() for path in files)
    for secret in (first, second):
        assert secret.removeprefix(accounts.KEY_PREFIX).encode() not in written
