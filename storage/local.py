"""The object store in a folder of this machine; the API serves its signed URLs.

    <folder>/<key>             an object, as a plain file
    <folder>/.incoming/<id>    an object on its way in; keys can't reach it, `sweep` removes what a crash left there

Needs: read and write in the folder, one file system for all of it. What a call has stored survives a crash of the machine: file
and folder are flushed before it returns. A copy is a hard link where the file system has them: objects are replaced, never
changed, so the two stay independent.
"""

import asyncio
import errno
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, TypeVar
from uuid import uuid4

from storage import signing
from storage.drafts import Draft, flush_folder, is_full, make_folders, new_file, replace
from storage.naming import BadKey, checked_folder, checked_key, checked_prefix
from storage.objects import BINARY, Entry, ObjectInfo, ObjectMissing, StoreUnavailable, TooLarge
from tasks.errors import DiskFull

INCOMING = ".incoming"
WRITE_BYTES = 1 << 20
T = TypeVar("T")
_NO_HARD_LINKS = (errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class LocalStore:
    """`storage.objects.ObjectStore` in a folder, which is made when something is first written.

    Args:
        folder: where the objects are.
        secret: what signs the URLs.
    """

    def __init__(self, folder: Path, secret: bytes):
        self.folder = folder.absolute()
        self._secret = secret

    def path(self, key: str) -> Path:
        """Where the object of this key is or would be.

        Raises:
            BadKey: it can't be a key, or something on its way is a symbolic link.
        """
        path = self.folder
        for part in checked_key(key).split("/"):
            path = path / part
            try:
                linked = path.is_symlink()
            except OSError as error:
                raise _unavailable(error) from error
            if linked:
                raise BadKey(f"{key[:80]!r} leads through a symbolic link.")
        return path

    def put_file(self, key: str, path: Path, *, content_type: str = BINARY) -> None:
        """See `ObjectStore`. The content type isn't kept: URLs carry it."""
        target = self.path(key)
        with path.open("rb") as source, _writing(), self._draft() as draft:
            draft.copy_from(source)
            draft.commit(target)

    def put_bytes(self, key: str, data: bytes, *, content_type: str = BINARY) -> None:
        target = self.path(key)
        with _writing(), self._draft() as draft:
            draft.write(data)
            draft.commit(target)

    async def receive(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> int:
        """Stores what a client sends, without blocking the event loop, and returns the number of bytes.

        An error of `chunks` (the client went away) or a cancellation leaves the object as it was and nothing else behind.

        Raises:
            TooLarge: more than `max_bytes` came.
            DiskFull, StoreUnavailable: it can't be written.
        """
        target, received, buffer = self.path(key), 0, bytearray()
        with _writing():
            draft = self._draft()
        with draft:
            async for chunk in chunks:
                received += len(chunk)
                if received > max_bytes:
                    raise TooLarge(max_bytes)
                buffer += chunk
                if len(buffer) >= WRITE_BYTES:
                    await _off_loop(draft.write, bytes(buffer))
                    buffer.clear()
            await _off_loop(draft.write, bytes(buffer))
            await _off_loop(draft.commit, target)
        return received

    def get_file(self, key: str, path: Path) -> None:
        with self._reading(key) as source, new_file(path) as draft:
            draft.copy_from(source)

    def get_bytes(self, key: str) -> bytes:
        with self._reading(key) as source:
            try:
                return source.read()
            except OSError as error:
                raise _unavailable(error) from error

    def stat(self, key: str) -> ObjectInfo | None:
        path = self.path(key)
        try:
            return ObjectInfo(bytes=path.stat().st_size) if path.is_file() else None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unavailable(error) from error

    def copy(self, source: str, target: str) -> None:
        old, new = self.path(source), self.path(target)
        with _writing():
            draft = self._incoming() / uuid4().hex
            try:
                _link(old, draft)
                replace(draft, new)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                if not old.is_file():
                    raise ObjectMissing(source) from None
                raise
            finally:
                # Renaming one link over another of the same file does nothing, by POSIX: the draft is then still there.
                draft.unlink(missing_ok=True)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._delete(key)

    def keys(self, prefix: str) -> Iterator[str]:
        folder, _, beginning = checked_prefix(prefix).rpartition("/")
        start = self.path(folder) if folder else self.folder
        try:
            yield from _walk(start, f"{folder}/" if folder else "", beginning)
        except OSError as error:
            raise _unavailable(error) from error

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        for key in self.keys(prefix):
            info = self.stat(key)
            if info is not None:
                yield key, info.bytes

    def entries(self, prefix: str) -> Iterator[Entry]:
        """See `ObjectStore`. A copy is a link, which keeps the time of its content: the change of the link is what counts."""
        for key in self.keys(prefix):
            try:
                found = self.path(key).stat()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise _unavailable(error) from error
            written_at = datetime.fromtimestamp(max(found.st_ctime, found.st_mtime), UTC)
            yield Entry(key=key, bytes=found.st_size, written_at=written_at)

    def delete_prefix(self, prefix: str) -> int:
        return sum(self._delete(key) for key in list(self.keys(checked_folder(prefix))))

    def signed_put(self, key: str, *, seconds: int, base_url: str) -> str:
        expires = int(time.time()) + seconds
        return signing.signed_url(self._secret, "PUT", checked_key(key), base_url=base_url, expires=expires)

    def signed_get(
        self, key: str, *, seconds: int, base_url: str, file_name: str | None = None, content_type: str | None = None
    ) -> str:
        return signing.signed_url(
            self._secret,
            "GET",
            checked_key(key),
            base_url=base_url,
            expires=int(time.time()) + seconds,
            name=file_name,
            content_type=content_type,
        )

    def verify(self, method: str, key: str, query: Iterable[tuple[str, str]]) -> signing.SignedQuery:
        """Checks a request for a signed URL: its method, its decoded key and its decoded query as pairs.

        Raises:
            BadSignature, ExpiredSignature: it must be refused.
        """
        return signing.verify_query(self._secret, method, key, query)

    def check(self) -> None:
        try:
            with _writing(), self._draft() as draft:
                draft.write(b"ready?")
        except DiskFull as error:
            raise StoreUnavailable(str(error)) from error

    def sweep(self, *, older_than: timedelta, dry_run: bool = False) -> tuple[int, int]:
        count = size = 0
        limit, incoming = time.time() - older_than.total_seconds(), self.folder / INCOMING
        try:
            for path in incoming.iterdir() if incoming.is_dir() else ():
                with suppress(FileNotFoundError):
                    found = path.lstat()
                    if found.st_mtime < limit:
                        if not dry_run:
                            path.unlink()
                        count, size = count + 1, size + found.st_size
        except OSError as error:
            raise _unavailable(error) from error
        return count, size

    def _draft(self) -> Draft:
        return Draft(self._incoming() / uuid4().hex)

    def _incoming(self) -> Path:
        incoming = self.folder / INCOMING
        make_folders(incoming)
        return incoming

    def _delete(self, key: str) -> bool:
        path = self.path(key)
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return False
        except OSError as error:
            if path.is_dir():  # macOS refuses to unlink a folder with EPERM
                return False
            raise _unavailable(error) from error
        flush_folder(path.parent)
        for folder in path.parents:
            if folder == self.folder:
                break
            try:
                folder.rmdir()
            except OSError:  # not empty, or somebody else was faster
                break
        return True

    def _reading(self, key: str) -> BinaryIO:
        path = self.path(key)
        try:
            if not path.is_file():  # before opening: a pipe would wait for ever
                raise ObjectMissing(key)
            return path.open("rb")
        except FileNotFoundError:
            raise ObjectMissing(key) from None
        except OSError as error:
            raise _unavailable(error) from error


async def _off_loop(function: Callable[[T], object], argument: T) -> None:
    with _writing():
        await asyncio.to_thread(function, argument)


def _walk(folder: Path, prefix: str, beginning: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry for entry in entries if entry.name.startswith(beginning)), key=lambda e: e.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, f"{prefix}{entry.name}/", "")
        else:
            yield f"{prefix}{entry.name}"


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        shutil.copyfile(source, target, follow_symlinks=False)
        with target.open("rb") as file:
            os.fsync(file.fileno())


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise DiskFull("The disk of the object store is full. Free some space and try again.") from error
        raise _unavailable(error) from error


def _unavailable(error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"The folder of the object store can't be used: {error.strerror or error}.")
