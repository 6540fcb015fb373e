"""`splatflow accounts`: lists accounts and sets their quotas, in the database itself, whether the group runs or not."""

import json
from typing import Any

from storage import accounts, quotas
from storage.database import Database
from storage.settings import Settings
from storage.tables import Account
from tasks.errors import BadOption

DEFAULT = "default"


def listed(database: Database, settings: Settings) -> list[dict[str, Any]]:
    """All accounts by name, with their quotas in force and what they use."""
    return [described(database, settings, account) for account in accounts.listed(database)]


def change(database: Database, settings: Settings, name: str, given: list[str]) -> dict[str, Any]:
    """Sets quotas of an account.

    Args:
        given: "NAME=NUMBER", such as "queued=100"; 0: no limit, "default": as the settings say.

    Raises:
        BadOption: a value can't be used, or there is no such account.
    """
    return described(database, settings, accounts.set_quotas(database, name, dict(_quota(text) for text in given)))


def described(database: Database, settings: Settings, account: Account) -> dict[str, Any]:
    """What is shown of an account; of each quota whether it is its own."""
    standing = quotas.standing(database, settings, account.id)
    return {
        "name": account.name,
        "plan": account.plan,
        "quotas": {
            name: {"limit": quota.limit, "used": round(quota.used, 3), "own": name in account.quotas}
            for name, quota in standing.items()
        },
    }


def show(found: list[dict[str, Any]], *, as_json: bool) -> None:
    """Prints accounts."""
    if as_json:
        print(json.dumps(found))
        return
    if not found:
        print("There are no accounts; `splatflow keys create --name NAME` makes one with its first key.")
        return
    print(f"{'NAME':<20}  {'PLAN':<10}  USED OF QUOTA (*: its own)")
    for row in found:
        parts = (f"{name} {_shown(quota)}" for name, quota in row["quotas"].items())
        print(f"{row['name']:<20}  {row['plan']:<10}  {', '.join(parts)}")


def _shown(quota: dict[str, Any]) -> str:
    limit = "any" if quota["limit"] is None else str(quota["limit"])
    return f"{quota['used']:.10g}/{limit}{'*' if quota['own'] else ''}"


def _quota(text: str) -> tuple[str, int | None]:
    name, _, value = text.partition("=")
    if name not in quotas.NAMES:
        raise BadOption(f"--quota is {text!r}; write NAME=NUMBER with one of {', '.join(quotas.NAMES)}.")
    if value == DEFAULT:
        return name, None
    if not (value.isascii() and value.isdigit()) or len(value) > 18:
        raise BadOption(f"--quota is {text!r}; the number is a whole one, 0 for no limit, or {DEFAULT}.")
    return name, int(value)
