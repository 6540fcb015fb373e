"""Writing a step's folder whole or not at all, with the machine's faults named."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.errors import DiskFull, OutputUnwritable, SplatflowError

MARKER = "extract.json"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG}


def output_error(error: OSError, path: Path) -> SplatflowError | None:
    """The error to raise for a failed write below `path`, or None if it says nothing about the disk."""
    if error.errno in _FULL:
        return DiskFull(f"The disk that holds {path} is full; free some space or choose another output folder.")
    if error.errno in _UNWRITABLE:
        return OutputUnwritable(
            f"Can't write to {path} ({error.strerror}); choose an output folder that you may write to."
        )
    return None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's errors of the writes inside into `DiskFull` or `OutputUnwritable`."""
    try:
        yield
    except OSError as error:
        named = output_error(error, path)
        if named is None:
            raise
        raise named from error


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write into; it becomes `out` when the block ends well and vanishes when it does not.

    The name is fixed, so that what a killed run left behind is cleared by the next. An `out` from an earlier extract
    is replaced; any other folder that is not empty is left alone.

    Raises: DiskFull, OutputUnwritable.
    """
    out = out.absolute()
    partial = out.with_name(f".{out.name}.partial")
    with writing(out):
        if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
            raise OutputUnwritable(f"The folder {out} holds other files; choose a new or empty output folder.")
        if out.exists() and not out.is_dir():
            raise OutputUnwritable(f"{out} is a file; choose another name for the output folder.")
        if partial.exists():
            shutil.rmtree(partial)
        made = [parent for parent in partial.parents if not parent.exists()]
        partial.mkdir(parents=True)
    try:
        yield partial
        with writing(out):
            if out.exists():
                shutil.rmtree(out)
            partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in made:  # innermost first; one that someone else has used meanwhile stays
            with suppress(OSError):
                parent.rmdir()
        raise
