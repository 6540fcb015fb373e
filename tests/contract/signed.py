"""What is known of a signed URL without knowing who signed it: when it expires, and how to spoil it."""

import calendar
import time
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit


def is_local(url: str, service_url: str) -> bool:
    """Whether the service itself serves the URL (a local store), and not an S3 server."""
    return urlsplit(url).netloc == urlsplit(service_url).netloc


def seconds_left(url: str) -> float:
    """How long a signed URL of either kind is still valid."""
    query = dict(parse_qsl(urlsplit(url).query))
    if "X-Amz-Expires" in query:
        signed_at = calendar.timegm(time.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
        return signed_at + int(query["X-Amz-Expires"]) - time.time()
    return int(query["expires"]) - time.time()


def spoilt(url: str) -> Iterator[tuple[str, str]]:
    """(what was done, URL): every part of a signed URL changed, one at a time."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)

    def with_query(pairs: list[tuple[str, str]]) -> str:
        return urlunsplit(parts._replace(query=urlencode(pairs, quote_via=quote)))

    for i, (name, value) in enumerate(query):
        yield f"without {name}", with_query(query[:i] + query[i + 1 :])
        yield f"empty {name}", with_query([*query[:i], (name, ""), *query[i + 1 :]])
        yield f"other {name}", with_query([*query[:i], (name, other(value)), *query[i + 1 :]])
        yield f"longer {name}", with_query([*query[:i], (name, value + "0"), *query[i + 1 :]])
        yield f"strange {name}", with_query([*query[:i], (name, "é\u202e\x00"), *query[i + 1 :]])
    for character in (parts.path[-5], parts.path[-12], parts.path[-20]):
        at = parts.path.rindex(character)
        path = parts.path[:at] + other(character) + parts.path[at + 1 :]
        yield f"other path {path}", urlunsplit(parts._replace(path=path))
    yield "longer path", urlunsplit(parts._replace(path=parts.path + "x"))
    yield "no query", urlunsplit(parts._replace(query=""))


def other(text: str) -> str:
    """A text of the same length and kind that differs in its last character (not in unused bits of base64 only)."""
    last = text[-1:]
    if last.isdigit():
        return text[:-1] + str((int(last) + 5) % 10)
    return text[:-1] + chr((ord(last.lower()) - 97 + 13) % 26 + 97) if last.isalpha() else "A" + text[1:]
