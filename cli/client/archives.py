"""Zips: a folder of photos on its way to a deployment, and a model on its way back."""

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from cli.client.errors import Damaged
from tasks.errors import NoPhotos

PHOTO_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".heic", ".heif", ".hif")
MAX_GROWTH = 50  # images don't shrink in a zip, and a model at most to a fifth
GROWTH_BASE_BYTES = 64 << 20
CHUNK_BYTES = 1 << 20


def zip_photos(folder: Path, target: Path) -> int:
    """Puts the photos of a folder, and of folders in it, into a zip, as they are; returns how many there were.

    Raises:
        NoPhotos: there are none.
    """
    photos = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PHOTO_ENDINGS
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not photos:
        raise NoPhotos(f"{folder} holds no photos; give a folder of JPEG, PNG or HEIC files.")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in photos:
            # Times before 1980 are in no zip; nobody needs any.
            info = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            with path.open("rb") as source, archive.open(info, "w", force_zip64=True) as member:
                shutil.copyfileobj(source, member, CHUNK_BYTES)
    return len(photos)


def unzip(archive: Path, target: Path, *, folders: tuple[str, ...]) -> None:
    """Unpacks a zip that may be hostile.

    Args:
        archive: the zip.
        target: an existing folder.
        folders: all that the zip may hold; anything else is an error.

    Raises:
        Damaged: no zip, a damaged one, or one with members that leave `folders`, links, names twice, or far more data than its size
            explains. What was unpacked until then is left for the caller to remove.
    """
    budget = GROWTH_BASE_BYTES + MAX_GROWTH * archive.stat().st_size
    seen: set[str] = set()
    try:
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                name = _safe_name(info, folders)
                if name.casefold() in seen:
                    raise Damaged(f"{archive.name} holds {name!r} twice.")
                seen.add(name.casefold())
                place = target / name
                if info.is_dir():
                    place.mkdir(parents=True, exist_ok=True)
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                budget = _copy(zipped, info, place, budget)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise Damaged(f"{archive.name} is no zip that can be unpacked ({error}).") from None


def _copy(zipped: zipfile.ZipFile, info: zipfile.ZipInfo, place: Path, budget: int) -> int:
    with zipped.open(info) as source, place.open("xb") as file:
        while chunk := source.read(CHUNK_BYTES):
            budget -= len(chunk)
            if budget < 0:
                raise Damaged("The zip unpacks to far more than its size explains.")
            file.write(chunk)
    return budget


def _safe_name(info: zipfile.ZipInfo, folders: tuple[str, ...]) -> str:
    name = info.filename
    parts = PurePosixPath(name).parts
    kind = stat.S_IFMT(info.external_attr >> 16)
    odd = "\\" in name or ":" in name or name.startswith("/") or any(ord(c) < 32 for c in name)
    if odd or not parts or ".." in parts or parts[0] not in folders or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise Damaged(f"The zip holds {name!r}, which is not part of a model.")
    if len(parts) == 1 and not info.is_dir():
        raise Damaged(f"The zip holds {name!r} as a file.")
    return "/".join(parts)
