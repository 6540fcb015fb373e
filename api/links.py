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

    def signed(self, job_id: UUID) -> dict[str, str]:
        """The query of a signed link to the page of this job."""
        expires = scene_links.expiry(self._seconds)
        return {"expires": str(expires), "signature": scene_links.sign(self._secret, job_id, expires)}

    def verify(self, job_id: UUID, query: dict[str, str]) -> None:
        """Returns when the query of a request is that of a signed link to this job's page.

        Raises:
            BadSignature, ExpiredSignature
        """
        scene_links.verify(
            self._secret, job_id, expires=query.get("expires", ""), signature=query.get("signature", "")
        )
