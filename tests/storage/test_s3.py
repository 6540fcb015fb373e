"""The store on an S3 server: what clients can do with its URLs, and how its failures are told."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.objects import ObjectMissing, StoreUnavailable
from storage.s3 import S3Store, ranges
from tasks.errors import BadOption
from tests.support.s3_server import S3Server

ACCESS, SECRET = "AKEXAMPLE", "the-secret-of-the-tests"
REFUSED = (400, 403)  # which one is the server's choice
FAILING = (
    lambda store: store.check(),
    lambda store: store.put_bytes("a", b"x"),
    lambda store: store.get_bytes("a"),
    lambda store: store.stat("a"),
    lambda store: store.copy("a", "b"),
    lambda store: store.delete(["a"]),
    lambda store: list(store.keys("a/")),
    lambda store: store.sweep(older_than=timedelta(0)),
)


def a_store(endpoint: str, **changes: Any) -> S3Store:
    return S3Store(**{"endpoint": endpoint, "bucket": "bucket", "access_key": ACCESS, "secret_key": SECRET, **changes})


def test_a_client_puts_and_gets_by_signed_urls(s3_store: S3Store):
    put = s3_store.signed_put("videos/a.mp4", seconds=60, base_url="http://unused")
    for headers in ({}, {"x-ms-blob-type": "BlockBlob"}, {"Content-Type": "video/mp4"}):
        assert httpx.put(put, content=b"video", headers=headers).status_code == 200
    assert s3_store.get_bytes("videos/a.mp4") == b"video"
    get = s3_store.signed_get(
        "videos/a.mp4", seconds=60, base_url="", file_name="Ä b.mp4", content_type="application/x-test"
    )
    answer = httpx.get(get)
    assert (answer.status_code, answer.content) == (200, b"video")
    query = parse_qs(urlsplit(get).query)
    assert query["response-content-type"] == ["application/x-test"]
    assert query["response-content-disposition"] == [
        "attachment; filename=\"A b.mp4\"; filename*=UTF-8''%C3%84%20b.mp4"
    ]
    assert httpx.get(get, headers={"Range": "bytes=1-2"}).content == b"id"


def test_other_requests_are_refused(s3_store: S3Store, s3_server: S3Server):
    s3_store.put_bytes("a", b"secret")
    s3_store.put_bytes("b", b"secret")
    get = s3_store.signed_get("a", seconds=60, base_url="")
    put = s3_store.signed_put("a", seconds=60, base_url="")
    wrong = S3Store(
        endpoint=s3_server.endpoint,
        bucket=urlsplit(get).path.split("/")[1],
        access_key=s3_server.access_key,
        secret_key="x",
    )
    brief = s3_store.signed_get("a", seconds=1, base_url="")
    parts = urlsplit(get)
    attempts: list[tuple[str, str]] = [
        ("GET", urlunsplit(parts._replace(query=""))),
        ("GET", urlunsplit(parts._replace(path=parts.path[:-1] + "b"))),
        ("GET", get.replace("X-Amz-Expires=60", "X-Amz-Expires=6000")),
        ("GET", get[:-1] + ("0" if get[-1] != "0" else "1")),
        ("PUT", get),
        ("DELETE", get),
        ("GET", put),
        ("GET", wrong.signed_get("a", seconds=60, base_url="")),
        ("PUT", wrong.signed_put("a", seconds=60, base_url="")),
    ]
    for method, url in attempts:
        assert httpx.request(method, url).status_code in REFUSED, (method, url)
    time.sleep(2.1)
    assert httpx.get(brief).status_code in REFUSED
    assert s3_store.get_bytes("a") == b"secret"
    with pytest.raises(StoreUnavailable, match="refused"):
        wrong.get_bytes("a")


def test_urls_name_the_public_endpoint_and_signing_connects_to_nothing():
    store = a_store("http://127.0.0.1:1", public_endpoint="https://files.example.org", region="eu-west-3")
    for url in (store.signed_put("a", seconds=60, base_url=""), store.signed_get("a", seconds=60, base_url="")):
        assert url.startswith("https://files.example.org/bucket/a?")
        assert "eu-west-3" in url
        assert SECRET not in url


def test_a_missing_bucket(s3_server: S3Server):
    keys = {"access_key": s3_server.access_key, "secret_key": s3_server.secret_key}
    store = a_store(s3_server.endpoint, bucket="absent-bucket", **keys)
    with pytest.raises(StoreUnavailable, match="no bucket absent-bucket"):
        store.check()
    with pytest.raises(StoreUnavailable):
        list(store.keys(""))
    assert not (s3_server.folder / "absent-bucket").exists()
    maker = a_store(s3_server.endpoint, bucket="made-bucket", create_bucket=True, **keys)
    maker.check()
    maker.check()
    assert (s3_server.folder / "made-bucket").is_dir()


@pytest.mark.parametrize("call", FAILING)
def test_a_server_that_is_away(call: Callable[[S3Store], object], tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(StoreUnavailable, match="can't be reached") as raised:
        call(a_store(f"http://127.0.0.1:{port}"))
    assert SECRET not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("call", FAILING)
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nRetry-After: 3600\r\nContent-Length: 4\r\n\r\nbusy",
        b"HTTP/1.1 403 No\r\nContent-Type: text/html\r\nContent-Length: 20\r\n\r\n<p>the-secret-of-the",
        b"no HTTP at all\r\n\r\n",
        b"",
    ],
)
def test_a_server_that_answers_nonsense(
    call: Callable[[S3Store], object], answer: bytes, monkeypatch: pytest.MonkeyPatch
):
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)  # between urllib3's attempts
    with answering(answer) as endpoint, pytest.raises(StoreUnavailable) as raised:
        call(a_store(endpoint))
    assert "the-secret" not in str(raised.value)
    assert sum(pauses) < 5  # whatever Retry-After says


def test_a_download_that_breaks_off_leaves_the_file_as_it_was(tmp_path: Path):
    target = tmp_path / "target"
    target.write_text("before")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n"
    with answering(head + b"x" * 2_000_000) as endpoint, pytest.raises(StoreUnavailable):
        a_store(endpoint).get_file("a", target)
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_that_does_not_call_itself_xml_is_still_read():
    body = b"<Error><Code>NoSuchKey</Code></Error>"
    answer = b"HTTP/1.1 404 No\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
    with answering(answer + body) as endpoint, pytest.raises(ObjectMissing):
        a_store(endpoint).get_bytes("a")


@given(size=st.integers(1, 5 << 40), limit=st.integers(10 << 20, 5 << 30))
def test_copies_in_parts_cover_the_object(size: int, limit: int):
    if size / limit > 2000:
        return
    parts = ranges(size, limit)
    assert parts[0][0] == 0
    assert parts[-1][1] == size
    assert all(end == start for (_, end), (start, _) in pairwise(parts))
    assert all(0 < end - start <= limit for start, end in parts)
    assert len(parts) == 1 or min(end - start for start, end in parts) >= 5 << 20


def test_writes_in_parts_that_nobody_completed_are_swept(s3_store: S3Store):
    assert s3_store.sweep(older_than=timedelta(0)) == (0, 0), "there never was one"
    s3_store.put_bytes("a", b"whole")
    client = s3_store._client
    upload_id = client._create_multipart_upload(s3_store.bucket, "jobs/b", {})
    client._upload_part(s3_store.bucket, "jobs/b", b"half", {}, upload_id, 1)
    day, nothing = timedelta(days=1), timedelta(seconds=-5)
    assert s3_store.sweep(older_than=day) == (0, 0), "it may still be under way"
    assert s3_store.sweep(older_than=nothing, dry_run=True) == (1, 4)
    assert s3_store.sweep(older_than=nothing) == (1, 4)
    assert s3_store.sweep(older_than=nothing) == (0, 0)
    assert list(s3_store.keys("")) == ["a"]


def test_a_server_that_cannot_copy_in_parts_is_found_out(s3_server: S3Server, s3_store: S3Store):
    store = S3Store(
        endpoint=s3_server.endpoint,
        bucket=s3_store.bucket,
        access_key=s3_server.access_key,
        secret_key=s3_server.secret_key,
        copy_bytes=10 << 20,
    )
    store.put_bytes("a", bytes(22 << 20))
    try:
        store.copy("a", "b")
    except StoreUnavailable:
        assert store.stat("b") is None
    else:
        assert store.get_bytes("b") == store.get_bytes("a")


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        ({"endpoint": ""}, "S3_ENDPOINT"),
        ({"endpoint": "ftp://host"}, "S3_ENDPOINT"),
        ({"endpoint": "https://host/path"}, "S3_ENDPOINT"),
        ({"endpoint": "https://user:pass@host"}, "S3_ENDPOINT"),
        ({"endpoint": "https://host:port"}, "S3_ENDPOINT"),
        ({"public_endpoint": "https://host?x=1"}, "S3_PUBLIC_ENDPOINT"),
        ({"bucket": "No Bucket"}, "S3_BUCKET"),
        ({"access_key": ""}, "S3_ACCESS_KEY"),
        ({"secret_key": ""}, "S3_SECRET_KEY"),
    ],
)
def test_settings_that_cannot_be_used(change: dict[str, str], setting: str):
    with pytest.raises(BadOption, match=setting) as raised:
        a_store(**{"endpoint": "https://s3.example.org", **change})
    assert SECRET not in str(raised.value)
    assert "user:pass" not in str(raised.value)


def test_nothing_shows_the_keys():
    store = a_store("https://s3.example.org")
    assert SECRET not in repr(store) + str(store)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The URL of a server that sends the same bytes to everybody and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.recv(65536)
                    client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
