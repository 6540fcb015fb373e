"""What a group of our own keeps, looked at from behind: rows, objects, and what Prefect shows."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import sqlalchemy
from minio import Minio

from tests.support.group import Group

PAGE = 200  # the most that Prefect gives at once
SHOWN = ("flow_runs", "logs", "artifacts", "task_runs", "deployments", "work_pools")


def rows(group: Group) -> Iterator[tuple[str, str]]:
    """Table and text of every row of our database."""
    url = group.environment.get("SPLATFLOW_DATABASE_URL", f"sqlite:///{group.data / 'splatflow.db'}")
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            names = sqlalchemy.inspect(connection).get_table_names()
            assert {"job", "apikey", "outbox"} <= set(names)
            for name in names:
                table = sqlalchemy.Table(name, sqlalchemy.MetaData(), autoload_with=connection)
                for row in connection.execute(sqlalchemy.select(table)):
                    yield name, repr(tuple(row))
    finally:
        engine.dispose()


def object_names(group: Group) -> list[str]:
    """Keys of all objects."""
    if group.environment.get("SPLATFLOW_OBJECT_STORE") != "s3":
        folder = group.data / "objects"
        return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    of = group.environment
    endpoint = of["SPLATFLOW_S3_ENDPOINT"]
    client = Minio(
        endpoint.partition("://")[2] or endpoint,
        access_key=of["SPLATFLOW_S3_ACCESS_KEY"],
        secret_key=of["SPLATFLOW_S3_SECRET_KEY"],
        region=of["SPLATFLOW_S3_REGION"],
        secure=endpoint.startswith("https://"),
    )
    return [str(found.object_name) for found in client.list_objects("splatflow", recursive=True)]


def shown(group: Group) -> dict[str, list[dict[str, Any]]]:
    """All that Prefect's API tells whoever reaches it, by kind."""
    with httpx.Client(base_url=f"{group.prefect_url}/api/", timeout=30) as client:
        return {kind: list(_pages(client, f"{kind}/filter")) for kind in SHOWN}


def _pages(client: httpx.Client, path: str) -> Iterator[dict[str, Any]]:
    offset = 0
    while True:
        page = client.post(path, json={"limit": PAGE, "offset": offset}).raise_for_status().json()
        yield from page
        if len(page) < PAGE:
            return
        offset += PAGE


def traces(group: Group, *words: str) -> list[str]:
    """Where any of the words still stands: in a row, an object's key, a work folder, or what Prefect shows."""

    def has(text: str) -> bool:
        return any(word in text or word.replace("-", "") in text for word in words)

    kept: Any = [f"row of {table}" for table, row in rows(group) if has(row)]
    kept += [f"object {name}" for name in object_names(group) if has(name)]
    kept += [f"{kind} of Prefect" for kind, items in shown(group).items() if has(json.dumps(items))]
    kept += [f"folder {path.name}" for path in (group.data / "work").iterdir() if has(path.name)]
    return kept
