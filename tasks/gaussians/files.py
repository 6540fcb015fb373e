"""Reading and writing whole files, with the machine's faults and the client's told apart."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tasks.errors import BadScene, DiskFull, OutputUnwritable, SplatflowError

FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
UNWRITABLE_ERRNOS = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}


def output_error(error: OSError, path: Path) -> SplatflowError | None:
    """The error to raise for a failed write of `path`, or None when it says nothing about room or permission."""
    if error.errno in FULL_ERRNOS:
        return DiskFull(f"The disk that holds {path} is full; free some space or choose another place.")
    if error.errno in UNWRITABLE_ERRNOS:
        return OutputUnwritable(f"Can't write {path} ({error.strerror}); choose a place that you may write to.")
    return None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the system's errors of the writes inside into DiskFull or OutputUnwritable, named after `path`."""
    try:
        yield
    except OSError as error:
        known = output_error(error, path)
        if known is None:
            raise
        raise known from error


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A sibling of `out` that becomes `out` when the block ends well and vanishes when not.

    Raises:
        OutputUnwritable: the place can't be written to, or holds something already.
        DiskFull
    """
    out = out.absolute()
    part = out.with_name(f".{out.name}.part")
    with writing(out):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise OutputUnwritable(f"{out} exists already and isn't empty; choose another folder or remove it.")
        if part.exists():  # of a killed run
            shutil.rmtree(part)
        part.mkdir(parents=True)
    try:
        with writing(out):
            yield part
            if out.exists():
                out.rmdir()
            part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that becomes `path` when the block ends well; otherwise `path` stays as it was.

    Written to a temporary sibling, flushed to the disk and renamed, so that no reader ever sees half a file.

    Raises: DiskFull, OutputUnwritable.
    """
    with writing(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:64]}-", suffix=".part", dir=path.parent)
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.chmod(0o666 & ~_umask())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def read_scene_bytes(path: Path, limit: int | None = None) -> bytes:
    """The bytes of a scene file, at most `limit` of them; BadScene when there is no such file or it can't be read."""
    try:
        with path.open("rb") as file:
            return file.read() if limit is None else file.read(limit)
    except FileNotFoundError as error:
        raise BadScene(f"There is no file {path}; check the path.") from error
    except OSError as error:
        raise BadScene(f"{path} can't be read ({error.strerror}); give a scene file that you may read.") from error


def _umask() -> int:
    """The process's umask, which can only be read by setting it; 0o022 where there is no /proc to ask."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    except OSError:
        pass
    return 0o022
