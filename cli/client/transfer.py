"""Files to and from a deployment through its signed URLs: streamed, tried again when the connection breaks."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from cli.client.errors import Damaged, Refused, UploadRefused
from cli.client.http import Api, insist, refusal
from tasks.process.outputs import output_errors

CHUNK_BYTES = 1 << 18
# A store may take its time to flush a large file before it answers.
TIMEOUT = httpx.Timeout(60.0, connect=10.0, read=300.0)
TOO_LARGE = 413

Advance = Callable[[int, int], None]


def upload(api: Api, source: Path, advance: Advance) -> str:
    """Sends a file and returns its `blob_name`; a broken upload begins anew.

    Args:
        source: the file; its ending tells the deployment what it is.
        advance: takes bytes sent and bytes in all.

    Raises:
        Refused: the deployment does not take such a file.
        UploadRefused: the store does not take this one.
        Unreachable: no connection for minutes.
    """
    size = source.stat().st_size
    target = api.send("POST", "generate-upload-url/", {"file_extension": source.suffix.lstrip(".")})

    def once() -> None:
        headers = {"Content-Length": str(size), "x-ms-blob-type": "BlockBlob", "Content-Type": _content_type(source)}
        with source.open("rb") as file:
            body = _told(iter(lambda: file.read(CHUNK_BYTES), b""), size, advance)
            response = api.outside.put(target["url"], content=body, headers=headers, timeout=TIMEOUT)
        if response.status_code >= 400:
            raise _upload_error(refusal(response))

    insist(once, say=api.say)
    return str(target["blob_name"])


def download(api: Api, path: str, target: Path, advance: Advance, *, sha256: str | None = None) -> None:
    """Fetches a file; a broken download goes on where it broke, each time with a new signed URL.

    Args:
        path: of the route that redirects to the file.
        target: replaced when all of it is there.
        advance: takes bytes received and bytes in all (0: not known).
        sha256: what it must be, when known.

    Raises:
        Refused: there is no such file.
        Damaged: what came is not what the deployment says it is.
        Unreachable: no connection for minutes.
        DiskFull, OutputUnwritable: `target` can't be written.
    """
    draft = target.with_name(f".{target.name}.part")
    with output_errors(target.absolute().parent):
        try:
            if not _whole(api, path, draft, advance, sha256) and not _whole(api, path, draft, advance, sha256):
                raise Damaged(f"{target.name} came damaged twice; try again later.")
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)


def _whole(api: Api, path: str, draft: Path, advance: Advance, sha256: str | None) -> bool:
    """Fetches all of it, with as many connections as it takes; False, and no draft, when it isn't what it must be."""
    state = _Partial()
    insist(lambda: _fetch(api, api.location(path), draft, state, advance), say=api.say)
    if sha256 is None or _digest(draft) == sha256:
        return True
    draft.unlink()
    return False


class _Partial:
    """Which version of a file a half-made draft is of."""

    etag: str | None = None


def _fetch(api: Api, url: str, draft: Path, state: _Partial, advance: Advance) -> None:
    have = draft.stat().st_size if draft.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if state.etag and not state.etag.startswith("W/"):
            headers["If-Range"] = state.etag
    with api.outside.stream("GET", url, headers=headers, timeout=TIMEOUT) as response:
        if response.status_code == 416:  # a draft that doesn't fit: begin anew
            draft.unlink(missing_ok=True)
            raise httpx.RemoteProtocolError("the file has changed")
        if response.status_code >= 400:
            raise refusal(response)
        begin = have if response.status_code == 206 and _begins_at(response, have) else 0
        state.etag = response.headers.get("etag")
        length = int(response.headers.get("content-length") or 0)
        total = begin + length if length else 0
        done = begin
        with draft.open("r+b" if begin else "wb") as file:
            file.seek(begin)
            for chunk in response.iter_raw():  # as they come: a larger chunk in the making would be lost
                file.write(chunk)
                done += len(chunk)
                advance(done, total)
    if total and done != total:
        raise httpx.RemoteProtocolError(f"the connection ended after {done} of {total} bytes")


def _begins_at(response: httpx.Response, offset: int) -> bool:
    return response.headers.get("content-range", "").startswith(f"bytes {offset}-")


def _told(chunks: Iterator[bytes], size: int, advance: Advance) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        advance(done, size)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _content_type(source: Path) -> str:
    kinds = {".zip": "application/zip", ".webm": "video/webm", ".mov": "video/quicktime"}
    return kinds.get(source.suffix.lower(), "video/mp4" if source.suffix else "application/octet-stream")


def _upload_error(error: Refused) -> Exception:
    if error.status == TOO_LARGE:
        return UploadRefused(f"The file is larger than this deployment takes. It says: {error}")
    if 400 <= error.status < 500 and error.status not in (408, 429):
        return UploadRefused(f"The store refused the upload. It says: {error}")
    return error
