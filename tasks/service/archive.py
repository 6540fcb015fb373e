"""A step's folder as one file: what the object store keeps, so that another attempt, also on another machine, goes on from it."""

import shutil
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from storage.objects import ObjectMissing, ObjectStore
from tasks.errors import SplatflowError, TransientError
from tasks.process import digest
from tasks.service.reference import StepReference


class OutputLost(SplatflowError):
    """A finished step is gone from the store, or damaged there. The job's next attempt makes it again; waiting doesn't help."""

    slug = "transient"


def pack(folder: Path, archive: Path) -> None:
    """Writes the files below `folder` into an uncompressed tar: pictures and arrays don't get smaller.

    Raises:
        OSError
    """
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                tar.add(path, arcname=str(path.relative_to(folder)), recursive=False)


def unpack(archive: Path, folder: Path) -> None:
    """Makes `folder` from a tar that `pack` wrote; whole or not at all.

    Raises:
        TransientError: the archive is damaged.
    """
    part = folder.with_name(f".{archive.stem}.unpacking")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        with tarfile.open(archive, "r:") as tar:
            tar.extractall(part, filter="data")
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    except tarfile.TarError as error:
        raise TransientError(f"The stored output {folder.name} is damaged ({error}).") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def fetch(objects: ObjectStore, reference: StepReference, archive: Path) -> None:
    """Writes a finished step's archive to `archive`, whole and as it was stored.

    Raises:
        StoreUnavailable, DiskFull
        OutputLost: it is gone, or is not what was stored; then it is removed, and found missing by whoever looks next.
    """
    try:
        objects.get_file(reference.key, archive)
    except ObjectMissing:
        raise OutputLost(
            f"The stored output of {reference.step} is gone; retry the job, which makes it again."
        ) from None
    whole = archive.stat().st_size == reference.bytes
    if not whole or (reference.sha256 and digest.of_file(archive) != reference.sha256):
        archive.unlink()
        objects.delete([reference.key])
        raise OutputLost(
            f"The stored output of {reference.step} was damaged and has been removed; retry the job, which makes it again."
        )


def zip_folders(root: Path, names: Iterable[str], archive: Path) -> None:
    """A zip of the named folders of `root`, for people; pictures are stored as they are."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED, allowZip64=True) as bundle:
        for name in names:
            for path in sorted((root / name).rglob("*")):
                if path.is_file():
                    bundle.write(path, str(path.relative_to(root)))
