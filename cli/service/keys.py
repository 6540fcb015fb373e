"""`splatflow keys`: makes, lists and ends API keys, in the database itself, whether the group runs or not."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from cli.service.folder import DataFolder
from storage import accounts
from storage.database import Database
from storage.settings import load_settings
from storage.tables import Account, ApiKey
from tasks.errors import BadOption

LIMIT_CLASSES = ("read", "write", "submit")


@contextmanager
def opened(data: Path | None) -> Iterator[Database]:
    """The database of the settings, or of the data folder `data`, brought up to date.

    Raises:
        DataUnusable: the data folder can't be made or written.
        DatabaseUnavailable: the database can't be reached.
    """
    settings = load_settings()
    if data is not None:
        settings = settings.model_copy(update={"data": data})
    if not settings.database_url:
        DataFolder(settings.data_folder).make()
    database = Database(settings.database)
    try:
        database.migrate()
        yield database
    finally:
        database.close()


def create(
    database: Database,
    *,
    name: str,
    account: str | None,
    plan: str | None,
    scope: str,
    expires_in_seconds: int | None,
    limits: list[str],
) -> dict[str, Any]:
    """Makes a key; what is returned holds its secret under "key".

    Args:
        name, account, plan, scope: see `storage.accounts.create_key`.
        expires_in_seconds: None: never expires.
        limits: "CLASS=RATE", such as "read=5/minute".

    Raises:
        BadOption: a value can't be used.
    """
    if expires_in_seconds is not None and not 1 <= expires_in_seconds <= 100 * 366 * 86_400:
        raise BadOption(f"--expires-in is {expires_in_seconds}; give a number of seconds, at most a hundred years.")
    expires_at = None if expires_in_seconds is None else datetime.now(UTC) + timedelta(seconds=expires_in_seconds)
    rates = dict(_limit(text) for text in limits)
    key, owner, secret = accounts.create_key(
        database, name=name, account=account, plan=plan, scope=scope, expires_at=expires_at, limits=rates
    )
    return {"key": secret, **described(key, owner)}


def listed(database: Database) -> list[dict[str, Any]]:
    """All keys, oldest first, without their secrets, which are nowhere."""
    return [described(key, account) for key, account in accounts.list_keys(database)]


def revoke(database: Database, key: str) -> dict[str, Any]:
    """Ends a key at once.

    Raises:
        BadOption: there is no such key.
    """
    accounts.revoke_key(database, _id(key))
    return next(row for row in listed(database) if row["id"] == str(_id(key)))


def rotate(database: Database, key: str) -> dict[str, Any]:
    """A new secret, under "key"; the old one ends at once.

    Raises:
        BadOption: there is no such key in force.
    """
    secret = accounts.rotate_key(database, _id(key))
    return {"key": secret, **next(row for row in listed(database) if row["id"] == str(_id(key)))}


def described(key: ApiKey, account: Account) -> dict[str, Any]:
    """What may be shown of a key."""
    return {
        "id": str(key.id),
        "name": key.name,
        "account": account.name,
        "plan": account.plan,
        "scope": key.scope,
        "limits": key.limits,
        "created_at": _time(key.created_at),
        "expires_at": _time(key.expires_at),
        "revoked_at": _time(key.revoked_at),
    }


def show(found: dict[str, Any] | list[dict[str, Any]], *, as_json: bool) -> None:
    """Prints a key, or a list of them."""
    if as_json:
        print(json.dumps(found))
    elif isinstance(found, list):
        _show_table(found)
    else:
        for name, value in found.items():
            if value not in (None, {}):
                print(f"{name:<12} {value if not isinstance(value, dict) else _rates(value)}")
        if "key" in found:
            print("The key is shown only now; it is kept as a hash.")


def _show_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("There are no keys; `splatflow keys create --name NAME` makes one.")
        return
    print(f"{'ID':<36}  {'NAME':<16}  {'ACCOUNT':<16}  {'PLAN':<10}  {'SCOPE':<5}  STATE")
    for row in rows:
        state = "in force"
        if row["revoked_at"]:
            state = f"revoked {row['revoked_at']}"
        elif row["expires_at"]:
            over = row["expires_at"] <= _time(datetime.now(UTC))
            state = f"{'expired' if over else 'until'} {row['expires_at']}"
        shown = f"{row['id']}  {row['name']:<16}  {row['account']:<16}  {row['plan']:<10}  {row['scope']:<5}  {state}"
        print(shown + (f", {_rates(row['limits'])}" if row["limits"] else ""))


def _rates(limits: dict[str, str]) -> str:
    return ", ".join(f"{name} {rate}" for name, rate in limits.items())


def _limit(text: str) -> tuple[str, str]:
    from limits import parse

    name, _, rate = text.partition("=")
    if name not in LIMIT_CLASSES:
        raise BadOption(f"--limit is {text!r}; write CLASS=RATE with one of {', '.join(LIMIT_CLASSES)}.")
    try:
        parse(rate)
    except ValueError:
        raise BadOption(f"--limit is {text!r}; the rate is a number and a time, such as 5/minute.") from None
    return name, rate


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadOption(f"{text!r} is no id of a key; `splatflow keys list` shows them.") from None


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
