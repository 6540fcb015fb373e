"""The object store's protocol, its errors, and the choice of a backend.

Two backends keep the same laws: `storage.local` (a folder) and `storage.s3`. An object is written whole or not at all; a reader
sees the old or the new one, never a mixture; the last complete writer wins. Keys come from `storage.naming`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from storage.settings import Settings
from tasks.errors import TransientError

BINARY = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class ObjectInfo:
    """What is known of an object without reading it: its size in bytes."""

    bytes: int


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An object in a listing.

    Attributes:
        written_at: when it was written to its key, by the clock of the store. Some servers give a copy the time of its original.
    """

    key: str
    bytes: int
    written_at: datetime


class ObjectMissing(LookupError):
    """There is no object under this key."""


class TooLarge(ValueError):
    """More bytes were sent than `limit` allows; nothing was kept."""

    def __init__(self, limit: int):
        super().__init__(f"The file is larger than the {limit} bytes that are accepted.")
        self.limit = limit


class StoreUnavailable(TransientError):
    """The store can't be used now; the same call may succeed later. The sentence holds no secret."""

    slug = "store_unavailable"


class ObjectStore(Protocol):
    """Objects by key. Every method raises `storage.naming.BadKey` for a key that can't be one, and `StoreUnavailable`; those that
    write here or into a file raise `DiskFull` when there is no room."""

    def put_file(self, key: str, path: Path, *, content_type: str = BINARY) -> None:
        """Stores the file's content, replacing what was there."""
        ...

    def put_bytes(self, key: str, data: bytes, *, content_type: str = BINARY) -> None:
        """Stores `data`, replacing what was there."""
        ...

    def get_file(self, key: str, path: Path) -> None:
        """Writes the object to `path`, which is replaced only once everything has arrived; its folder is made.

        Raises:
            ObjectMissing: no such object; `path` is as it was.
            OutputUnwritable: `path` can't be written.
        """
        ...

    def get_bytes(self, key: str) -> bytes:
        """The object's content.

        Raises:
            ObjectMissing: no such object.
        """
        ...

    def stat(self, key: str) -> ObjectInfo | None:
        """The object's size, or None when there is no such object."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Copies inside the store, whatever the size; later writes to either key don't change the other.

        Raises:
            ObjectMissing: no object `source`.
        """
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes these objects; missing ones are fine."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys that start with `prefix`, in no promised order."""
        ...

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """The same keys with their bytes; an object that is written or deleted meanwhile may be among them or not."""
        ...

    def entries(self, prefix: str) -> Iterator[Entry]:
        """The same as `sizes`, with the time of writing."""
        ...

    def sweep(self, *, older_than: timedelta, dry_run: bool = False) -> tuple[int, int]:
        """Removes what writes left that were begun so long ago and never ended; returns how many there were, and their bytes.

        Args:
            dry_run: only counts.
        """
        ...

    def delete_prefix(self, prefix: str) -> int:
        """Deletes all objects whose keys start with `prefix`, which must end with a slash; returns how many there were."""
        ...

    def signed_put(self, key: str, *, seconds: int, base_url: str) -> str:
        """A URL that anybody may PUT this object to for `seconds`; `base_url` is where the API is reached."""
        ...

    def signed_get(
        self, key: str, *, seconds: int, base_url: str, file_name: str | None = None, content_type: str | None = None
    ) -> str:
        """A URL that anybody may GET or HEAD this object from for `seconds`; with `file_name` it is saved under that name."""
        ...

    def check(self) -> None:
        """Returns when the store can be used now.

        Raises:
            StoreUnavailable: it can't; the sentence tells the operator what to look at.
        """
        ...


def open_store(settings: Settings) -> ObjectStore:
    """The backend that the settings name. Connects to nothing.

    Raises:
        BadOption: a setting of the S3 store is missing or can't be used.
    """
    if settings.object_store == "s3":
        from storage.s3 import S3Store

        return S3Store(
            endpoint=settings.s3_endpoint,
            public_endpoint=settings.s3_public_endpoint,
            region=settings.s3_region,
            bucket=settings.s3_bucket,
            access_key=settings.s3_access_key.get_secret_value(),
            secret_key=settings.s3_secret_key.get_secret_value(),
        )
    from storage.local import LocalStore

    return LocalStore(settings.object_folder, settings.signing_secret.get_secret_value().encode())
