"""The step's folder, which appears whole or not at all."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import DiskFull, OutputUnwritable, SplatflowError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG}


def _known(error: OSError, out: Path) -> SplatflowError | None:
    if error.errno in _FULL:
        return DiskFull(f"No space is left where {out} lies; free some and run again.")
    if error.errno in _UNWRITABLE:
        return OutputUnwritable(f"{out} can't be written to; choose a folder that you may write to.")
    return None


@contextmanager
def fresh_folder(out: Path) -> Iterator[Path]:
    """A sibling of `out` that becomes `out` when all went well and vanishes when not.

    Raises:
        OutputUnwritable: the place can't be written to, or holds something already.
        DiskFull: no space left.
    """
    part: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise OutputUnwritable(f"{out} exists already and isn't empty; choose another folder or remove it.")
        part = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        yield part
        part.chmod(0o755)
        if out.exists():
            out.rmdir()
        part.rename(out)
        part = None
    except OSError as error:
        raise _known(error, out) or error from error
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
