"""Signed links to the page of a private scene.

    /scenes/<job>?expires=<unix seconds>&signature=<base64url>

The signature is an HMAC-SHA256 over the job's id and the expiry, under a context of its own: it opens no object, and a signed
object's URL opens no page. Whoever has the link may look until it expires; deleting the job ends it at once.
"""

import base64
import hashlib
import hmac
import json
import time
from uuid import UUID

from storage.signing import BadSignature, ExpiredSignature

_CONTEXT = "splatflow-scene-link-1"
_PARTS = 8  # links of one job stay the same for an eighth of their time, so that a page that polls sees no change


def sign(secret: bytes, job_id: UUID, expires: int) -> str:
    """The signature of a link, 43 characters of base64url; `expires` is Unix time in seconds."""
    if not secret:
        raise ValueError("An empty secret signs nothing.")
    fields = json.dumps([_CONTEXT, str(job_id), expires])
    digest = hmac.new(secret, fields.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def expiry(seconds: int, *, now: float | None = None) -> int:
    """When a link that is given out now expires, Unix time: after at least `seconds`, at most an eighth more."""
    grid = max(1, seconds // _PARTS)
    moment = int(time.time() if now is None else now)
    return -(-moment // grid) * grid + seconds


def verify(secret: bytes, job_id: UUID, *, expires: str, signature: str, now: float | None = None) -> None:
    """Returns when the signature is ours and its time not over.

    Raises:
        BadSignature: anything differs from what was signed.
        ExpiredSignature: `expires` has passed.
    """
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 15 and str(int(expires)) == expires):
        raise BadSignature("The link's expiry is not a number.")
    expected = sign(secret, job_id, int(expires))
    if not hmac.compare_digest(expected.encode(), signature.encode(errors="surrogatepass")):
        raise BadSignature("The link's signature doesn't fit it.")
    if (time.time() if now is None else now) >= int(expires):
        raise ExpiredSignature("The link has expired.")
