"""An API over a database and a local store in a temporary folder, without Prefect, and a client of it."""

import shutil
import warnings
from pathlib import Path
from typing import Any
from uuid import UUID

from api.app import create_app
from storage import accounts, jobs
from storage.database import Database
from storage.local import LocalStore
from storage.settings import Settings
from storage.tables import FINISHED, Job, now

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # starlette would rather have another client, which is no dependency of ours
    from starlette.testclient import TestClient

SECRET = b"signs the URLs of tests"
V1 = "/api/v1"


class Site:
    """Everything of one API."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.database)
        self.store = LocalStore(settings.object_folder, SECRET)
        self.app = create_app(settings, self.database, self.store)
        self.client = TestClient(self.app, follow_redirects=False)
        self.key = self.new_key("ann")

    def close(self) -> None:
        self.client.close()
        self.database.close()

    def new_key(self, name: str, **options: Any) -> str:
        return accounts.create_key(self.database, name=name, **options)[2]

    def call(self, method: str, path: str, *, key: str | None = None, **options: Any) -> Any:
        """A request with a key; paths that don't begin with a slash are under /api/v1."""
        headers = {"Authorization": f"Api-Key {key or self.key}", **options.pop("headers", {})}
        return self.client.request(method, path if path.startswith("/") else f"{V1}/{path}", headers=headers, **options)

    def upload(self, content: bytes = b"video", *, key: str | None = None) -> str:
        """The blob name of an upload that is there."""
        answer = self.call("POST", "generate-upload-url/", key=key, json={"file_extension": "mp4"}).json()
        assert self.client.put(answer["url"], content=content).status_code == 201
        return answer["blob_name"]

    def submit(self, *, key: str | None = None, **fields: Any) -> dict[str, Any]:
        """The answer to the submit of a new upload."""
        answer = self.call("POST", "submit-job/", key=key, json={"blob_name": self.upload(key=key), **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def set(self, job_id: str, **values: Any) -> None:
        """Writes columns of a job as a run would."""
        with self.database.write() as session:
            job = session.get(Job, UUID(job_id))
            assert job is not None
            for name, value in values.items():
                setattr(job, name, value)
            job.revision += 1
            session.add(job)

    def finish(self, job_id: str, **contents: bytes) -> None:
        """Ends a job with outputs, by kind."""
        files = {}
        for kind, content in contents.items():
            key = f"jobs/{job_id}/outputs/1/{kind}"
            self.store.put_bytes(key, content)
            files[kind] = {"key": key, "bytes": len(content), "sha256": "0" * 64}
        self.set(job_id, state=FINISHED, percent=100, files=files, finished_at=now())

    def rows(self) -> list[UUID]:
        """Ids of the first account's jobs."""
        principal = accounts.authenticate(self.database, self.key)
        assert principal is not None
        return [row.id for row in jobs.listed(self.database, principal.account_id)[0]]


def new_site(folder: Path, empty_database: Path, **options: Any) -> Site:
    """A site with a database of its own; `options` are settings."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    shutil.copy(empty_database, data / "splatflow.db")
    return Site(Settings(data=data, **options))
