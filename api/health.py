"""Whether this process lives, and whether the service can do its work."""

import threading
import time

import httpx
from sqlalchemy import inspect
from sqlmodel import SQLModel

from storage.database import Database
from storage.objects import ObjectStore
from tasks.errors import SplatflowError

FRESH_SECONDS = 2.0
PREFECT_SECONDS = 2.0
OK = "ok"


class Health:
    """Checks the parts, at most every two seconds.

    Args:
        prefect_url: of Prefect's API, such as http://127.0.0.1:4200/api.
    """

    def __init__(self, database: Database, objects: ObjectStore, *, prefect_url: str) -> None:
        self._database, self._objects, self._prefect_url = database, objects, prefect_url
        self._lock = threading.Lock()
        self._parts: dict[str, str] = {}
        self._checked_at = float("-inf")

    def parts(self) -> dict[str, str]:
        """Each part: "ok", or a sentence that says what is wrong. Blocks for some seconds at worst."""
        with self._lock:
            if time.monotonic() - self._checked_at > FRESH_SECONDS:
                self._parts = {
                    "database": self._check_database(),
                    "object_store": self._check_objects(),
                    "prefect": self._check_prefect(),
                }
                self._checked_at = time.monotonic()
            return self._parts

    def _check_database(self) -> str:
        try:
            self._database.check()
            with self._database.read() as session:
                there = set(inspect(session.connection()).get_table_names())
        except SplatflowError as error:
            return str(error)
        except Exception as error:
            return f"The database can't be used ({type(error).__name__})."
        missing = SQLModel.metadata.tables.keys() - there
        return "The database has no tables yet; run `splatflow part migrate`." if missing else OK

    def _check_objects(self) -> str:
        try:
            self._objects.check()
        except SplatflowError as error:
            return str(error)
        except Exception as error:
            return f"The object store can't be used ({type(error).__name__})."
        return OK

    def _check_prefect(self) -> str:
        if not self._prefect_url:
            return "PREFECT_API_URL is not set."
        try:
            # Prefect Cloud wants a key for this path: any answer but a server's fault shows that it is there.
            answer = httpx.get(f"{self._prefect_url.rstrip('/')}/health", timeout=PREFECT_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"Prefect can't be reached ({type(error).__name__})."
        return OK if answer.status_code < 500 else f"Prefect answers {answer.status_code}."
