"""A service's rows and objects with known truth, and what a person finds who counts both by hand."""

import json
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import text

from storage import naming, uploads
from storage.database import Database
from storage.objects import ObjectStore
from tests.support.databases import at_work, new_account, submitted


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A database and a store that belong together; `folder` is where the store's objects are as files."""

    database: Database
    objects: ObjectStore
    folder: Path
    account_id: UUID

    def put(self, key: str, size: int) -> str:
        self.objects.put_bytes(key, b"x" * size)
        return key

    def upload(self, size: int = 3, *, seconds: int = 60) -> str:
        return self.put(uploads.create(self.database, self.account_id, "mp4", seconds=seconds).blob_name, size)

    def job(self, **values) -> UUID:
        """A submitted job with its source (5 bytes)."""
        job_id = uuid4()
        values = {"blob_name": self.upload(), "source_key": naming.source_key(job_id, "mp4"), **values}
        self.put(values["source_key"], 5)
        return submitted(self.database, self.account_id, id=job_id, **values)

    def begun(self, job_id: UUID) -> dict[str, str]:
        """What an attempt that has come as far as its export has stored, by what it is."""
        return {
            "step": self.put(naming.step_key(job_id, "sfm", "d"), 7),
            "result": self.put(naming.result_key(job_id, "sfm.d"), 11),
            "checkpoint": self.put(naming.checkpoint_key(job_id, "d", 1, 1, "0" * 64), 13),
            "preview": self.put(naming.preview_key(job_id, 1, 1), 17),
            "output": self.put(naming.output_key(job_id, 1, "scene.ply"), 19),
        }

    def finished(self, **values) -> tuple[UUID, dict[str, str]]:
        """A finished job whose checkpoint is gone, and its objects."""
        job_id = self.job(**values)
        there = self.begun(job_id)
        self.objects.delete([there.pop("checkpoint")])
        attempt = at_work(self.database, job_id)
        attempt.preview(there["preview"])
        attempt.finish(files={"ply": {"key": there["output"], "bytes": 19, "sha256": ""}}, quality={}, scale=None)
        return job_id, there

    def keys(self) -> set[str]:
        return set(self.objects.keys(""))

    def by_hand(self) -> int:
        """Bytes in the store, counted as files."""
        return sum(
            path.stat().st_size
            for path in self.folder.rglob("*")
            if path.is_file() and ".incoming" not in path.relative_to(self.folder).parts
        )

    def rows_by_hand(self) -> int:
        """Bytes that rows say: sources and files of jobs that are there."""
        with self.database.read() as session:
            rows = session.connection().execute(
                text("SELECT source_bytes, files FROM job WHERE deleted_at IS NULL AND reprocess_of IS NULL")
            )
            found = [(source, json.loads(files) if isinstance(files, str) else files) for source, files in rows]
        return sum(source + sum(file["bytes"] for file in files.values()) for source, files in found)


def kept(database: Database, objects: ObjectStore, folder: Path) -> Kept:
    return Kept(database=database, objects=objects, folder=folder, account_id=new_account(database))
