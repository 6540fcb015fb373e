"""Prefect's results in our object store, below the job that they belong to, so that they go with it."""

import logging
from typing import Any
from uuid import UUID

from prefect.filesystems import WritableFileSystem
from pydantic import PrivateAttr

from storage import naming
from storage.objects import ObjectMissing, ObjectStore, open_store
from storage.settings import settings
from tasks.service.patience import patiently

log = logging.getLogger("splatflow.results")


def cache_key(job_id: UUID, step: str, digest: str) -> str:
    """Under which Prefect keeps the result of a step of a job, which tries at a better one for it find too."""
    return f"{job_id}.{step}.{digest}"


def object_key(path: str) -> str:
    """The object of a result's key: below its job where the key is one of `cache_key`.

    Raises:
        ValueError: it is none; nothing else of ours persists results.
    """
    job, _, rest = path.partition(".")
    return naming.result_key(UUID(job), rest)


class ObjectResults(WritableFileSystem):
    """Reads and writes results; the store is opened at the first use."""

    _block_type_name = "splatflow results"
    _store: ObjectStore | None = PrivateAttr(default=None)
    # Prefect takes only storage that its server knows by an id, so that others can fetch results through it. Nobody does
    # that with ours: runs read them through this class, so no block has to be registered before the first run.
    _block_document_id: UUID | None = PrivateAttr(default=UUID(int=0))

    def _objects(self) -> ObjectStore:
        if self._store is None:
            self._store = open_store(settings())
        return self._store

    def read_path(self, path: str, *, _sync: bool = True) -> Any:
        """The bytes of a result; ValueError when there is none, as Prefect expects it of a file system."""
        try:
            return patiently(lambda: self._objects().get_bytes(object_key(path)), log)
        except ObjectMissing:
            raise ValueError(f"There is no result {path}.") from None

    async def aread_path(self, path: str) -> bytes:
        """`read_path`, as Prefect asks for it from its event loop."""
        return self.read_path(path)

    def write_path(self, path: str, content: bytes, *, _sync: bool = True) -> Any:
        """Writes a result, whole or not at all."""
        key = object_key(path)
        patiently(lambda: self._objects().put_bytes(key, content, content_type="application/json"), log)
        return path

    async def awrite_path(self, path: str, content: bytes) -> Any:
        """`write_path`, as Prefect asks for it from its event loop."""
        return self.write_path(path, content)
