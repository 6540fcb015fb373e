"""Accounts and their API keys. A key's secret is shown once, when it is made, and kept only as a SHA-256.

Secrets are 256 random bits, so a plain hash is enough: nothing can be guessed, and a slow hash would be a way to deny service.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlmodel import col

from storage.database import Database
from storage.tables import Account, ApiKey, now
from tasks.errors import BadOption

KEY_PREFIX = "sfk_"  # so that scanners for leaked secrets can know ours
PLANS = ("enterprise", "free")
SCOPES = ("read", "write")
MAX_SECRET_CHARACTERS = 200

# Built once: it is run at every request, and building it takes longer than that.
_BY_SECRET = (
    select(
        col(ApiKey.id),
        col(ApiKey.account_id),
        col(Account.plan),
        col(ApiKey.scope),
        col(ApiKey.limits),
        col(ApiKey.expires_at),
        col(ApiKey.revoked_at),
    )
    .join_from(ApiKey, Account)
    .where(col(ApiKey.secret_sha256) == bindparam("secret_sha256"))
)


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who a request comes from: a key in force, and its account.

    Attributes:
        limits: of this key, by route class ("read", "write", "submit"), where they differ from the service's.
    """

    key_id: UUID
    account_id: UUID
    plan: str
    scope: str
    limits: dict[str, str]


def hashed(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def authenticate(database: Database, secret: str) -> Principal | None:
    """The principal of a secret, or None when it is unknown, revoked or expired."""
    if not secret or len(secret) > MAX_SECRET_CHARACTERS:
        return None
    with database.connection() as connection:
        row = connection.execute(_BY_SECRET, {"secret_sha256": hashed(secret)}).first()
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now()):
        return None
    return Principal(key_id=row.id, account_id=row.account_id, plan=row.plan, scope=row.scope, limits=row.limits or {})


def named(database: Database, name: str) -> UUID | None:
    """The account of this name, or None when there is none."""
    with database.read() as session:
        return session.scalars(select(col(Account.id)).where(col(Account.name) == name)).first()


def create_key(
    database: Database,
    *,
    name: str,
    account: str | None = None,
    plan: str | None = None,
    scope: str = "write",
    expires_at: datetime | None = None,
    limits: dict[str, str] | None = None,
) -> tuple[ApiKey, Account, str]:
    """Makes a key, and its account when there is none of that name; returns the row, the account and the secret.

    Args:
        name: of the key, for people.
        account: name of the account; the key's name when None.
        plan: of the account; "enterprise" for a new one and unchanged for an old one when None.
        scope: "write", or "read" for a key that can't change anything.
        expires_at: None: never.
        limits: rates by route class, such as {"read": "5/minute"}; the service's where one is missing.

    Raises:
        BadOption: a value that can't be used.
    """
    if plan is not None and plan not in PLANS:
        raise BadOption(f"The plan is {plan!r}; choose one of {', '.join(PLANS)}.")
    if scope not in SCOPES:
        raise BadOption(f"The scope is {scope!r}; choose one of {', '.join(SCOPES)}.")
    if not 1 <= len(name) <= 255 or not 1 <= len(account or name) <= 255:
        raise BadOption("Names of keys and accounts have 1 to 255 characters.")
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    with database.write() as session:
        owner = session.scalars(select(Account).where(col(Account.name) == (account or name))).first()
        if owner is None:
            owner = Account(name=account or name, plan=plan or "enterprise")
            session.add(owner)
            session.flush()
        elif plan is not None:
            owner.plan = plan
        key = ApiKey(
            account_id=owner.id,
            name=name,
            secret_sha256=hashed(secret),
            scope=scope,
            expires_at=expires_at,
            limits=limits or {},
        )
        session.add(key)
        session.flush()
    return key, owner, secret


def listed(database: Database) -> list[Account]:
    """All accounts, by name."""
    with database.read() as session:
        return list(session.scalars(select(Account).order_by(col(Account.name))))


def set_quotas(database: Database, name: str, changes: Mapping[str, int | None]) -> Account:
    """Changes an account's own quotas (`storage.quotas`).

    Args:
        changes: by name; 0: no limit, None: as the settings say.

    Raises:
        BadOption: there is no account of this name.
    """
    with database.write() as session:
        account = session.scalars(select(Account).where(col(Account.name) == name).with_for_update()).first()
        if account is None:
            raise BadOption(f"There is no account {name!r}; `splatflow accounts list` shows all.")
        own = {**account.quotas, **changes}
        account.quotas = {quota: value for quota, value in own.items() if value is not None}
        session.add(account)
    return account


def list_keys(database: Database) -> list[tuple[ApiKey, Account]]:
    """All keys with their accounts, oldest first."""
    with database.read() as session:
        rows = session.execute(select(ApiKey, Account).join_from(ApiKey, Account).order_by(col(ApiKey.created_at)))
        return [(key, account) for key, account in rows]


def revoke_key(database: Database, key_id: UUID) -> None:
    """Ends a key at once.

    Raises:
        BadOption: there is no such key.
    """
    with database.write() as session:
        key = session.get(ApiKey, key_id)
        if key is None:
            raise BadOption(f"There is no key {key_id}; `splatflow keys list` shows all.")
        session.execute(
            update(ApiKey).where(col(ApiKey.id) == key_id, col(ApiKey.revoked_at).is_(None)).values(revoked_at=now())
        )


def rotate_key(database: Database, key_id: UUID) -> str:
    """A new secret for a key; the old one ends at once. Name, scope, limits and expiry stay.

    Raises:
        BadOption: there is no such key, or it was revoked.
    """
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    with database.write() as session:
        key = session.get(ApiKey, key_id)
        if key is None or key.revoked_at is not None:
            raise BadOption(f"There is no key {key_id} in force; `splatflow keys list` shows all.")
        key.secret_sha256 = hashed(secret)
        session.add(key)
    return secret
