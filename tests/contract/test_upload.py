"""generate-upload-url/ and the PUT that follows it."""

import http.client
import json
import socket
import time
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.contract.checks import BLOB_NAME, check_error
from tests.contract.client import BLOCK_BLOB, JUNK, Api, outside
from tests.contract.conftest import Service
from tests.contract.raw import connect, exchange, read_answer
from tests.contract.signed import is_local, seconds_left, spoilt

EXTENSIONS = ["mp4", "mov", "m4v", "webm", "mkv", "avi", "zip"]
BAD_EXTENSIONS = [
    "",
    ".",
    "exe",
    "mp3",
    "jpg",
    "mp4x",
    "xmp4",
    "..mp4",
    ".mp4.",
    "tar.gz",
    "mp4/../../etc/passwd",
    "../mp4",
    "mp4?x=1",
    "mp4 ",
    " mp4",
    "mp４",
    "x" * 10_000,
]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_every_extension(api: Api, extension: str) -> None:
    for written in (extension, f".{extension}", extension.upper(), f".{extension.title()}"):
        response = api.post("generate-upload-url/", json={"file_extension": written})
        assert response.status_code == 200, response.text
        body = response.json()
        assert set(body) == {"url", "blob_name"}
        assert BLOB_NAME.fullmatch(body["blob_name"])
        assert body["blob_name"].endswith(f".{extension}")
        assert urlsplit(body["url"]).scheme in ("http", "https")


@pytest.mark.parametrize("extension", BAD_EXTENSIONS, ids=lambda text: repr(text[:20]))
def test_other_extensions(api: Api, extension: str) -> None:
    response = api.post("generate-upload-url/", json={"file_extension": extension})
    check_error(response, 400, "Invalid file format", field="file_extension")


def test_no_extension(api: Api) -> None:
    check_error(api.post("generate-upload-url/", json={}), 400, field="file_extension")


def test_every_url_is_new_and_valid_for_two_hours(api: Api) -> None:
    uploads = [api.upload_url() for _ in range(3)]
    assert len({upload["blob_name"] for upload in uploads}) == 3
    for upload in uploads:
        assert 7200 - 60 <= seconds_left(upload["url"]) <= 7200 + 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        BLOCK_BLOB,
        {**BLOCK_BLOB, "Content-Type": "video/mp4"},
        {"Content-Type": "application/octet-stream"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json"},
        {"Content-Type": "nonsense"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
    ids=str,
)
def test_put_with_any_headers(api: Api, headers: dict[str, str]) -> None:
    upload = api.upload_url()
    assert outside("PUT", upload["url"], content=JUNK, headers=headers).is_success
    assert api.submit(blob_name=upload["blob_name"])["status"] == "queued"


def test_put_that_resends_the_key(api: Api, service: Service) -> None:
    upload = api.upload_url()
    if not is_local(upload["url"], service.url):
        pytest.skip("the store is an S3 server, to which clients don't send the key")
    headers = {**BLOCK_BLOB, "Authorization": f"Api-Key {api.key}"}
    assert outside("PUT", upload["url"], content=JUNK, headers=headers).is_success


def test_put_in_chunks(api: Api, service: Service) -> None:
    upload = api.upload_url()
    if not is_local(upload["url"], service.url):
        pytest.skip("S3 servers want a length")
    pieces: Iterator[bytes] = iter([JUNK, JUNK, b"end"])
    assert outside("PUT", upload["url"], content=pieces, headers=BLOCK_BLOB).is_success
    api.submit(blob_name=upload["blob_name"])


def test_put_that_waits_to_be_asked(api: Api, service: Service) -> None:
    """curl sends `Expect: 100-continue` with large files."""
    upload = api.upload_url()
    if not is_local(upload["url"], service.url):
        pytest.skip("the store is an S3 server")
    parts = urlsplit(upload["url"])
    head = (
        f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(JUNK)}\r\n"
        "Expect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    with connect(upload["url"]) as connection:
        connection.sendall(head.encode())
        assert read_answer(connection).status == 100
        connection.sendall(JUNK)
        assert read_answer(connection).status in (200, 201, 204)


def test_put_again_replaces(api: Api) -> None:
    upload = api.upload_url()
    for data in (JUNK, JUNK * 2):
        assert outside("PUT", upload["url"], content=data, headers=BLOCK_BLOB).is_success
    api.submit(blob_name=upload["blob_name"])


def test_an_upload_that_breaks_off_is_none(api: Api) -> None:
    upload = api.upload_url()
    parts = urlsplit(upload["url"])
    head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 1000000\r\n\r\n"
    with connect(upload["url"]) as connection:
        connection.sendall(head.encode() + JUNK)
        time.sleep(0.2)
        connection.shutdown(socket.SHUT_RDWR)
    time.sleep(0.5)
    response = api.post("submit-job/", json={"blob_name": upload["blob_name"]})
    check_error(response, 400, "Blob not found", field="blob_name", submit=True)


def test_a_spoilt_url_takes_nothing(api: Api, service: Service) -> None:
    upload = api.upload_url()
    refused = (403,) if is_local(upload["url"], service.url) else (400, 403, 404, 405, 501)
    for what, url in spoilt(upload["url"]):
        status = outside("PUT", url, content=JUNK, headers=BLOCK_BLOB).status_code
        assert status in refused, (what, status)
    response = api.post("submit-job/", json={"blob_name": upload["blob_name"]})
    check_error(response, 400, "Blob not found", submit=True)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST", "PATCH"])
def test_the_url_is_good_for_a_put_only(api: Api, method: str) -> None:
    upload = api.upload_url()
    assert outside("PUT", upload["url"], content=JUNK, headers=BLOCK_BLOB).is_success
    assert outside(method, upload["url"]).status_code in (400, 403, 404, 405, 501)
    api.submit(blob_name=upload["blob_name"])


def test_an_upload_over_the_limit(api: Api, service: Service) -> None:
    """A local store refuses while it receives; where S3 receives, submit refuses and names the limit."""
    limit = api.get("account/").json()["limits"]["max_upload_bytes"]
    if limit > 300_000_000:
        pytest.skip("this deployment's limit is too large to be sent here")
    upload = api.upload_url()
    local = is_local(upload["url"], service.url)
    if local:
        assert _announced(upload["url"], limit + 1) == 413
    status = _streamed(upload["url"], limit + 1, chunked=local)
    assert status in ((413, None) if local else (200,))
    response = api.post("submit-job/", json={"blob_name": upload["blob_name"]})
    body = check_error(response, 400, field="blob_name", submit=True)
    if local:
        assert body["error"] == "Blob not found"
    else:
        assert str(limit) in body["error"].replace(",", "")
        again = api.post("submit-job/", json={"blob_name": upload["blob_name"]})
        check_error(again, 400, "Blob not found", submit=True)


def _announced(url: str, count: int) -> int:
    parts = urlsplit(url)
    head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {count}\r\n\r\n"
    return exchange(url, head.encode() + JUNK).status


def _streamed(url: str, count: int, *, chunked: bool) -> int | None:
    """The status of a PUT of zeros; None when the server closed the connection instead of reading on."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    piece = bytes(1 << 20)
    pieces = (piece[: min(len(piece), count - at)] for at in range(0, count, len(piece)))
    headers = BLOCK_BLOB if chunked else {**BLOCK_BLOB, "Content-Length": str(count)}
    try:
        connection.request("PUT", f"{parts.path}?{parts.query}", pieces, headers, encode_chunked=chunked)
        return connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):
        return None
    finally:
        connection.close()


def test_a_blob_never_uploaded(api: Api) -> None:
    for blob in (api.upload_url()["blob_name"], f"videos/{uuid.uuid4()}.mp4"):
        response = api.post("submit-job/", json={"blob_name": blob})
        check_error(response, 400, "Blob not found", field="blob_name", submit=True)


def test_a_foreign_blob(api: Api, other: Api, junk: str) -> None:
    foreign = other.post("submit-job/", json={"blob_name": junk})
    check_error(foreign, 400, "Blob not found", field="blob_name", submit=True)
    unknown = other.post("submit-job/", json={"blob_name": f"videos/{uuid.uuid4()}.mp4"})
    assert foreign.content == unknown.content


@pytest.mark.parametrize(
    "name",
    [
        "{blob}x",
        "x{blob}",
        "/{blob}",
        "./{blob}",
        "videos/../{blob}",
        "videos//{base}",
        "{upper}",
        "{base}",
        "../{blob}",
        "../../../../etc/passwd",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://127.0.0.1/x.mp4",
        "videos/",
        "videos/..",
        "videos/%2e%2e/{base}",
        "videos\\{base}",
        "jobs/",
    ],
)
def test_a_blob_name_only_as_issued(api: Api, junk: str, name: str) -> None:
    name = name.format(blob=junk, base=junk.removeprefix("videos/"), upper=junk.upper())
    response = api.post("submit-job/", json={"blob_name": name})
    check_error(response, 400, "Blob not found", field="blob_name", submit=True)


def test_a_jobs_own_files_are_no_blobs(api: Api, junk: str) -> None:
    job = api.submit(blob_name=junk)["job_id"]
    for name in (f"jobs/{job}/source.mp4", f"jobs/{job}", f"videos/../jobs/{job}/source.mp4"):
        response = api.post("submit-job/", json={"blob_name": name})
        check_error(response, 400, "Blob not found", submit=True)


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/videos/../../splatflow.db",
        "/videos/..%5c..%5csplatflow.db",
        "//etc/passwd",
        "/%00",
        "/videos/%ff%fe",
        "/",
        "",
    ],
)
def test_no_path_leaves_the_store(api: Api, service: Service, path: str) -> None:
    url = api.upload_url()["url"]
    if not is_local(url, service.url):
        pytest.skip("the store is an S3 server")
    parts = urlsplit(url)
    root = parts.path[: parts.path.index("/videos/")]
    for method in ("GET", "PUT"):
        request = (
            f"{method} {root}{path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Length: {len(JUNK) if method == 'PUT' else 0}\r\nConnection: close\r\n\r\n"
        )
        answer = exchange(url, request.encode() + (JUNK if method == "PUT" else b""))
        assert answer.status in (400, 403, 404, 405, 308), answer
        assert b"root:" not in answer.body
        if answer.status != 308:
            assert "error" in json.loads(answer.body)
