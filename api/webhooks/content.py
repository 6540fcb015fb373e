"""What a receiver gets. Pure: the same at every try of a delivery."""

import json
from datetime import datetime
from typing import Any

from api import present
from api.links import Links
from storage.settings import Settings
from storage.tables import Job


class Contents:
    """Bodies of one deployment.

    They hold the job as it was at its end, and no signed link: bodies are kept in receivers' logs for longer than a link should work.
    So `viewer_url` is that of a public scene (where the settings say the public URL), else null; a GET of the job has one.
    """

    def __init__(self, settings: Settings) -> None:
        self._links = Links(settings)
        self._base = settings.public_url.rstrip("/")

    def body(self, told: str) -> bytes:
        """The body of what `storage.webhooks.announce` has written down."""
        content = json.loads(told)
        content["created_at"] = present.instant(datetime.fromisoformat(content["created_at"]))
        if content["job"] is not None:
            content["job"] = self._detail(content["job"])
        return json.dumps(content, separators=(",", ":")).encode()

    def _detail(self, columns: dict[str, Any]) -> dict[str, Any]:
        # A row that an older version wrote lacks columns: they are as in a new one.
        job = Job.model_validate(columns)
        shown = job.public and self._base
        return present.detail(
            job,
            remaining_seconds=None,
            viewer_url=self._links.viewer_url(job, self._base) if shown else None,
            run_url=self._links.run_url(job),
        )
