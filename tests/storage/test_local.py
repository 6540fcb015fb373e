"""The store in a folder: uploads as they arrive, links, crashes, full disks."""

import asyncio
import errno
import os
import threading
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from storage import drafts, local, signing
from storage.local import LocalStore
from storage.naming import BadKey
from storage.objects import ObjectMissing, StoreUnavailable, TooLarge
from tasks.errors import DiskFull

KEY = "videos/a.mp4"


async def chunks(*parts: bytes, error: BaseException | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if error is not None:
        raise error


def leftovers(store: LocalStore) -> list[Path]:
    incoming = store.folder / local.INCOMING
    return list(incoming.iterdir()) if incoming.is_dir() else []


@pytest.mark.parametrize("parts", [[], [b""], [b"abc"], [b"a" * 700_000] * 5, [b"x"] * 1000])
def test_an_upload_arrives_whole(local_store: LocalStore, parts: list[bytes]):
    content = b"".join(parts)
    assert asyncio.run(local_store.receive(KEY, chunks(*parts), max_bytes=len(content))) == len(content)
    assert local_store.get_bytes(KEY) == content
    assert not leftovers(local_store)


@pytest.mark.parametrize("parts", [[b"x" * 11], [b"x" * 10, b"x"], [b"x" * 5_000_000]])
def test_an_upload_over_the_limit_leaves_nothing(local_store: LocalStore, parts: list[bytes]):
    local_store.put_bytes(KEY, b"before")
    with pytest.raises(TooLarge) as raised:
        asyncio.run(local_store.receive(KEY, chunks(*parts), max_bytes=10))
    assert raised.value.limit == 10
    assert local_store.get_bytes(KEY) == b"before"
    assert not leftovers(local_store)


def test_a_client_that_goes_away_leaves_nothing(local_store: LocalStore):
    for error in (ConnectionResetError("gone"), RuntimeError("gone")):
        with pytest.raises(type(error), match="gone"):
            asyncio.run(local_store.receive(KEY, chunks(b"x" * 3_000_000, error=error), max_bytes=10**9))
    assert local_store.stat(KEY) is None
    assert not leftovers(local_store)


def test_a_cancelled_upload_leaves_nothing(local_store: LocalStore, monkeypatch: pytest.MonkeyPatch):
    entered = threading.Event()
    write = drafts.Draft.write

    def slow(self: drafts.Draft, data: bytes) -> int:
        entered.set()
        time.sleep(0.2)
        return write(self, data)

    monkeypatch.setattr(drafts.Draft, "write", slow)

    async def scenario() -> None:
        upload = asyncio.create_task(local_store.receive(KEY, chunks(b"x" * 3_000_000, b"y"), max_bytes=10**9))
        await asyncio.to_thread(entered.wait, 10)
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload

    asyncio.run(scenario())
    assert local_store.stat(KEY) is None
    assert not leftovers(local_store)


def test_uploads_of_one_key_at_once_never_mix(local_store: LocalStore):
    contents = [bytes([number]) * 3_000_000 for number in range(5)]

    async def slowly(content: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]
            await asyncio.sleep(0)

    async def scenario() -> None:
        await asyncio.gather(*(local_store.receive(KEY, slowly(content), max_bytes=10**9) for content in contents[:-1]))
        await local_store.receive(KEY, slowly(contents[-1]), max_bytes=10**9)

    asyncio.run(scenario())
    assert local_store.get_bytes(KEY) == contents[-1]
    assert not leftovers(local_store)


def test_the_event_loop_goes_on_while_a_disk_is_slow(local_store: LocalStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: time.sleep(0.3))

    async def scenario() -> int:
        upload = asyncio.create_task(local_store.receive(KEY, chunks(b"x"), max_bytes=10))
        ticks = 0
        while not upload.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    local_store.check()  # makes the folder, which is flushed too
    assert asyncio.run(scenario()) > 5


def test_what_is_stored_is_flushed_before_the_answer(local_store: LocalStore, monkeypatch: pytest.MonkeyPatch):
    flushed = []
    flush = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: (flushed.append(os.fstat(descriptor).st_ino), flush(descriptor))
    )
    asyncio.run(local_store.receive(KEY, chunks(b"x"), max_bytes=10))
    path = local_store.path(KEY)
    for kept in (path, path.parent, local_store.folder):
        assert kept.stat().st_ino in flushed


def test_a_copy_is_a_link_and_a_put_breaks_it(local_store: LocalStore):
    local_store.put_bytes(KEY, b"first")
    local_store.copy(KEY, "jobs/1/source.mp4")
    assert local_store.path(KEY).samefile(local_store.path("jobs/1/source.mp4"))
    asyncio.run(local_store.receive(KEY, chunks(b"second"), max_bytes=10))
    assert local_store.get_bytes("jobs/1/source.mp4") == b"first"
    local_store.copy(KEY, KEY)
    local_store.copy(KEY, "b")
    local_store.copy("b", KEY)
    assert not leftovers(local_store)


def test_a_file_system_without_links(local_store: LocalStore, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    local_store.put_bytes(KEY, b"first")
    local_store.copy(KEY, "jobs/1/source.mp4")
    assert local_store.get_bytes("jobs/1/source.mp4") == b"first"
    with pytest.raises(ObjectMissing):
        local_store.copy("no/such", "b")


def test_a_full_disk_is_said_and_leaves_nothing(
    local_store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source = tmp_path / "source"
    source.write_bytes(b"x" * 100)
    local_store.put_bytes(KEY, b"before")

    def full(self: drafts.Draft, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(drafts.Draft, "write", full)
    for call in (
        lambda: local_store.put_bytes(KEY, b"x"),
        lambda: local_store.put_file(KEY, source),
        lambda: local_store.get_file(KEY, tmp_path / "target"),
        lambda: asyncio.run(local_store.receive(KEY, chunks(b"x"), max_bytes=10)),
    ):
        with pytest.raises(DiskFull):
            call()
    with pytest.raises(StoreUnavailable):
        local_store.check()
    assert local_store.get_bytes(KEY) == b"before"
    assert not leftovers(local_store)
    assert not (tmp_path / "target").exists()


def test_a_folder_that_cannot_be_used(tmp_path: Path):
    (tmp_path / "file").write_text("")
    store = LocalStore(tmp_path / "file" / "objects", b"secret")
    with pytest.raises(StoreUnavailable):
        store.check()
    with pytest.raises(StoreUnavailable):
        store.put_bytes(KEY, b"x")
    assert store.stat(KEY) is None


def test_emptied_folders_go(local_store: LocalStore):
    for key in ("jobs/1/a/b", "jobs/1/c", "jobs/2/d"):
        local_store.put_bytes(key, b"x")
    local_store.delete(["jobs/1/a/b"])
    assert not (local_store.folder / "jobs/1/a").exists()
    assert local_store.delete_prefix("jobs/1/") == 1
    assert [path.name for path in (local_store.folder / "jobs").iterdir()] == ["2"]
    local_store.delete(["jobs/2", "jobs/2/d/e"])
    assert local_store.get_bytes("jobs/2/d") == b"x"


def test_writing_while_folders_are_emptied(local_store: LocalStore):
    failures: list[Exception] = []

    def churn(number: int) -> None:
        try:
            for _ in range(50):
                local_store.put_bytes(f"deep/er/{number}", b"x")
                local_store.delete([f"deep/er/{number}"])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=churn, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert not list(local_store.keys(""))


def test_symbolic_links_lead_nowhere(local_store: LocalStore, tmp_path: Path):
    local_store.put_bytes("jobs/1/a", b"x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (local_store.folder / "jobs/out").symlink_to(outside)
    (local_store.folder / "jobs/1/link").symlink_to(outside / "secret")
    for key in ("jobs/out/secret", "jobs/1/link", "jobs/out/new"):
        for call in (local_store.path, local_store.get_bytes, local_store.stat):
            with pytest.raises(BadKey):
                call(key)
        with pytest.raises(BadKey):
            local_store.put_bytes(key, b"x")
        with pytest.raises(BadKey):
            local_store.delete([key])
    assert list(local_store.keys("jobs/")) == ["jobs/1/a"]
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_what_crashes_left_is_swept(local_store: LocalStore):
    day = timedelta(days=1)
    assert local_store.sweep(older_than=day) == (0, 0)
    local_store.put_bytes(KEY, b"x")
    incoming = local_store.folder / local.INCOMING
    for name, age in (("old", 2 * day), ("new", day / 24)):
        (incoming / name).write_text("half an upload")
        long_ago = time.time() - age.total_seconds()
        os.utime(incoming / name, (long_ago, long_ago))
    assert local_store.sweep(older_than=day, dry_run=True) == local_store.sweep(older_than=day) == (1, 14)
    assert [path.name for path in incoming.iterdir()] == ["new"]
    assert local_store.get_bytes(KEY) == b"x"


def test_signed_urls_are_ours(local_store: LocalStore):
    url = local_store.signed_get("jobs/1/Ä.ply", seconds=60, base_url="http://host:8000", file_name="Ä.ply")
    parts = urlsplit(url)
    key, query = unquote(parts.path.removeprefix("/objects/")), parse_qsl(parts.query)
    assert (key, local_store.verify("HEAD", key, query).name) == ("jobs/1/Ä.ply", "Ä.ply")
    with pytest.raises(signing.BadSignature):
        LocalStore(local_store.folder, b"another secret").verify("GET", key, query)
    parts = urlsplit(local_store.signed_put(KEY, seconds=-1, base_url="http://host"))
    with pytest.raises(signing.ExpiredSignature):
        local_store.verify("PUT", KEY, parse_qsl(parts.query))
