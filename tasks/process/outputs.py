"""The system's word on writing a result, in ours."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import DiskFull, OutputUnwritable, SplatflowError

FREE_BYTES_NEEDED = 1 << 20
DISK_FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
UNWRITABLE_ERRNOS = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOENT,
    errno.EINVAL,
}


@contextmanager
def output_errors(out: Path) -> Iterator[None]:
    """Turns the system's word on writing to `out` into ours."""
    try:
        yield
    except OSError as error:
        known = translate_os_error(error, out)
        if known is None:
            raise
        raise known from error


def translate_os_error(error: OSError, out: Path) -> SplatflowError | None:
    """Our error for the system's, when it is about room or permission to write to `out`; else None."""
    if error.errno in DISK_FULL_ERRNOS:
        return DiskFull(f"The disk of {out} is full; free some space or choose another --out.")
    names = [
        Path(name).absolute() for name in (error.filename, error.filename2) if isinstance(name, (str, os.PathLike))
    ]
    concerned = any(path.is_relative_to(out) or out.is_relative_to(path) for path in names)
    if error.errno in UNWRITABLE_ERRNOS and concerned:
        why = error.strerror or "it can't be written"
        return OutputUnwritable(f"Can't write to {out} ({why}); choose a folder that you may write to with --out.")
    return None


def disk_is_full(out: Path) -> bool:
    """Whether the disk that `out` is, or would be, on has no room left."""
    folder = next((p for p in (out, *out.parents) if p.is_dir()), None)
    return folder is not None and shutil.disk_usage(folder).free < FREE_BYTES_NEEDED
