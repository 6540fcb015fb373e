"""Signed URLs of the local store.

    {base_url}/objects/<key>?expires=<unix seconds>[&name=<file name>][&type=<content type>]&signature=<base64url>

The signature is an HMAC-SHA256 over the method, the key, the expiry and the answer's parameters. It is compared as text and in
constant time, so that no second spelling of a signature, an expiry or a parameter is accepted. A signature for GET also permits HEAD.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

PATH = "/objects/"
_CONTEXT = "splatflow-object-url-1"  # keeps these signatures apart from any other use of the secret


class BadSignature(Exception):
    """The URL was not signed by us, or was changed since."""


class ExpiredSignature(Exception):
    """The URL is ours, but its time is over."""


@dataclass(frozen=True, kw_only=True)
class SignedQuery:
    """What a verified URL asks for: the file name to save under and the content type to answer with, when they were signed."""

    name: str | None
    content_type: str | None


def sign(
    secret: bytes, method: str, key: str, *, expires: int, name: str | None = None, content_type: str | None = None
) -> str:
    """The signature of a URL, 43 characters of base64url.

    Args:
        secret: any bytes, the longer the better; never empty.
        method: GET (then HEAD works too) or PUT.
        key: the object's key, not percent-encoded.
        expires: Unix time in seconds from which on the URL is refused.
        name: file name of the `Content-Disposition` of the answer.
        content_type: content type of the answer.
    """
    if not secret:
        raise ValueError("An empty secret signs nothing.")
    # JSON in ASCII: no two different lists of fields give the same text, and lone surrogates are no error.
    fields = [_CONTEXT, "GET" if method == "HEAD" else method, key, expires, name, content_type]
    digest = hmac.new(secret, json.dumps(fields, ensure_ascii=True).encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def signed_url(
    secret: bytes,
    method: str,
    key: str,
    *,
    base_url: str,
    expires: int,
    name: str | None = None,
    content_type: str | None = None,
) -> str:
    """The whole URL; see `sign` for the arguments. `base_url` is where the API is reached, with or without a last slash."""
    query = [("expires", str(expires))]
    query += [("name", name)] if name is not None else []
    query += [("type", content_type)] if content_type is not None else []
    query += [("signature", sign(secret, method, key, expires=expires, name=name, content_type=content_type))]
    return f"{base_url.rstrip('/')}{PATH}{quote(key, safe='/')}?{urlencode(query, quote_via=quote)}"


def verify(
    secret: bytes,
    method: str,
    key: str,
    *,
    expires: str,
    signature: str,
    name: str | None = None,
    content_type: str | None = None,
    now: float | None = None,
) -> None:
    """Returns when the signature is ours and its time not over; `now` is Unix time, the clock's when None.

    Raises:
        BadSignature: anything differs from what was signed.
        ExpiredSignature: `expires` has passed.
    """
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 15 and str(int(expires)) == expires):
        raise BadSignature("The URL's expiry is not a number.")
    expected = sign(secret, method, key, expires=int(expires), name=name, content_type=content_type)
    if not hmac.compare_digest(expected.encode(), signature.encode(errors="surrogatepass")):
        raise BadSignature("The URL's signature doesn't fit it. Ask the API for a new URL and use it as it is.")
    if (time.time() if now is None else now) >= int(expires):
        raise ExpiredSignature("The URL has expired. Ask the API for a new one.")


def verify_query(
    secret: bytes, method: str, key: str, query: Iterable[tuple[str, str]], *, now: float | None = None
) -> SignedQuery:
    """Verifies a request's decoded query (pairs, in any order) and returns what it asks for.

    Raises:
        BadSignature: as `verify`; also for a parameter that is missing, unknown or given twice.
        ExpiredSignature: its time is over.
    """
    pairs = list(query)
    given = dict(pairs)
    if len(given) != len(pairs) or not {"expires", "signature"} <= given.keys() <= {
        "expires",
        "signature",
        "name",
        "type",
    }:
        raise BadSignature("The URL is not one of ours. Ask the API for a new URL and use it as it is.")
    answer = SignedQuery(name=given.get("name"), content_type=given.get("type"))
    verify(
        secret,
        method,
        key,
        expires=given["expires"],
        signature=given["signature"],
        name=answer.name,
        content_type=answer.content_type,
        now=now,
    )
    return answer
