"""How much room the object store's contents take, by what they are; `storage.ledger` adds it up."""

import time
from collections.abc import Mapping

from storage import measures, tally
from storage.database import Database

CLASSES = ("uploads", "sources", "steps", "checkpoints", "outputs", "previews", "other")
_FOLDERS = {"steps": "steps", "checkpoints": "checkpoints", "outputs": "outputs", "previews": "previews"}


def class_of(key: str) -> str:
    """What an object is, by its key (see `storage.naming`).

    "uploads" are what clients sent, "sources" the jobs' own copies of it; "other" are Prefect's results.
    """
    top, *rest = key.split("/")
    if top == "videos":
        return "uploads"
    if top != "jobs" or len(rest) < 2:
        return "other"
    if len(rest) == 2:
        return "sources" if rest[1].startswith("source.") else "other"
    return _FOLDERS.get(rest[1], "other")


def tell(database: Database, found: Mapping[str, int]) -> None:
    """Writes down what was added up, bytes by class, for `/metrics`.

    Raises:
        DatabaseUnavailable
    """
    levels = [measures.STORE_BYTES.at(size, **{"class": name}) for name, size in found.items()]
    tally.put(database, *levels, measures.STORE_MEASURED.at(time.time()))
