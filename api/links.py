"""Where people look at a job in a browser."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from storage import scene_links
from storage.settings import Settings


class Links:
    """Links of one deployment."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.signing_secret.get_secret_value().encode()
        self._seconds = settings.viewer_url_seconds
        self._prefect_ui = settings.prefect_ui_url.rstrip("/")

    def viewer_url(self, job: Any, base: str) -> str:
        """The scene page of a job's row: plain when it is public, signed and expiring when it is private.

        Args:
            base: where clients reach the service, without a last slash.
        """
        return self.viewer_url_of(job.id, public=job.public, base=base)

    def viewer_url_of(self, job_id: UUID, *, public: bool, base: str) -> str:
        """The same by the job's id."""
        page = f"{base}/scenes/{job_id}"
        return page if public else f"{page}?{urlencode(self.signed(job_id))}"

    def run_url(self, job: Any) -> str | None:
        """The page of a job's run in Prefect's UI, by the route of Prefect 3 (`prefect.utilities.urls`); None when no UI is told of
        in the settings, or there is no run yet.
        """
        return f"{self._prefect_ui}/runs/flow-run/{job.run_id}" if self._prefect_ui and job.run_id is not None else None

    def signed(self, job_id: UUID) -> dict[str, str]:
        """The query of a signed link to the page of this job."""
        expires = scene_links.expiry(self._seconds)
        return {"expires": str(expires), "signature": scene_links.sign(self._secret, job_id, expires)}

    def verify(self, job_id: UUID, query: dict[str, str]) -> None:
        """Returns when the query of a request is that of a signed link to this job's page.

        Raises:
            BadSignature, ExpiredSignature
        """
        scene_links.verify(self._secret, job_id, expires=query.get("expires", ""), signature=query.get("signature", ""))
