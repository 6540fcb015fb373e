"""Files that appear whole or not at all: written under another name, flushed to the disk, then renamed."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO
from uuid import uuid4

from tasks.errors import DiskFull, OutputUnwritable

READ_BYTES = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Draft:
    """A file in the making. `commit` puts it in its place; leaving the `with` block without that removes it.

    Safe to abandon from one thread while another still writes (a cancelled upload): the two never overlap, and a write after
    the end raises ValueError.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.Lock()
        self._file = path.open("xb", buffering=0)

    def __enter__(self) -> "Draft":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Appends all of `data` and returns its length; raises OSError."""
        with self._lock:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        return len(data)

    def copy_from(self, source: BinaryIO) -> None:
        """Appends what is left in an open file; raises OSError."""
        while data := source.read(READ_BYTES):
            self.write(data)

    def commit(self, target: Path) -> None:
        """Flushes to the disk and replaces `target`, durably; raises OSError."""
        with self._lock:
            os.fsync(self._file.fileno())
            self._file.close()
            replace(self.path, target)

    def abandon(self) -> None:
        """Removes what is left of the draft; does nothing after `commit`."""
        with self._lock:
            self._file.close()
            self.path.unlink(missing_ok=True)


def replace(source: Path, target: Path) -> None:
    """Renames durably, making the target's folders; raises OSError."""
    for attempt in range(10):
        try:
            make_folders(target.parent)
            source.replace(target)
            break
        except FileNotFoundError:  # a concurrent delete removed the folder, which was empty until now
            if attempt == 9 or not source.exists():
                raise
    flush_folder(target.parent)


def make_folders(folder: Path) -> None:
    """Makes a folder and its parents durably; raises OSError."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Makes the names in a folder survive a power cut."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:  # deleted meanwhile: nothing to keep
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_full(error: OSError) -> bool:
    """Whether the disk, or the user's share of it, is full."""
    return error.errno in _FULL


@contextmanager
def new_file(path: Path) -> Iterator[Draft]:
    """A draft beside `path` that replaces it when the block ends without an error; its folder is made.

    Raises:
        DiskFull, OutputUnwritable: `path` can't be written; it is then as it was. An OSError of the block itself counts as one.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with Draft(path.parent / f".{uuid4().hex}.part") as draft:
            yield draft
            draft.commit(path)
    except OSError as error:
        if is_full(error):
            raise DiskFull(f"The disk is full: {path} could not be written. Free some space and try again.") from error
        raise OutputUnwritable(f"{path} can't be written: {error.strerror or error}.") from error
