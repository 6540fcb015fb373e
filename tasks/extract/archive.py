"""Zips of photos, read without trusting a word of them (APPNOTE.TXT 6.3). Nothing is unpacked to disk."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tasks.errors import ArchiveTooLarge, BadArchive, UnsafeArchive
from tasks.extract.options import ExtractOptions

_MAX_DIRECTORY_BYTES = 32_000_000  # the list of entries, which zipfile reads whole
_RATIO_FLOOR_BYTES = 1_000_000  # tiny entries may pack well by chance
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)


class Archive:
    """The files of a zip that passed every check on its directory."""

    def __init__(self, name: str, archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> None:
        self._name = name
        self._archive = archive
        self._entries = {entry.filename: entry for entry in entries}
        self.names = list(self._entries)

    def read(self, name: str) -> bytes:
        """The bytes of one file, never more than the directory said.  Raises: BadArchive, ArchiveTooLarge."""
        entry = self._entries[name]
        try:
            with self._archive.open(entry) as file:
                data = file.read(entry.file_size + 1)
        except _DAMAGE as error:
            raise BadArchive(f"{self._name} is damaged at {_shown(name)}; make the zip again.") from error
        if len(data) > entry.file_size:
            raise ArchiveTooLarge(f"{_shown(name)} in {self._name} is larger than the zip says; make the zip again.")
        return data

    def head(self, name: str, count: int) -> bytes:
        """The first bytes of one file.  Raises: BadArchive."""
        try:
            with self._archive.open(self._entries[name]) as file:
                return file.read(count)
        except _DAMAGE as error:
            raise BadArchive(f"{self._name} is damaged at {_shown(name)}; make the zip again.") from error

    def size(self, name: str) -> int:
        return self._entries[name].file_size


@contextmanager
def open_archive(path: Path, options: ExtractOptions) -> Iterator[Archive]:
    """Check the directory of the zip at `path` as a whole, then yield its files.

    Raises: BadArchive, UnsafeArchive, ArchiveTooLarge.
    """
    _check_directory_size(path)
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGE as error:
        raise BadArchive(f"{path.name} is not a zip that can be read; make the zip again.") from error
    with archive:
        entries = archive.infolist()
        if len(entries) > options.max_archive_entries:
            raise ArchiveTooLarge(
                f"{path.name} holds {len(entries):,} files, over the limit of {options.max_archive_entries:,}; "
                "zip only the photos of one scene."
            )
        for entry in entries:
            _check_entry(path.name, entry, options)
        total = sum(entry.file_size for entry in entries)
        if total > options.max_archive_bytes:
            raise ArchiveTooLarge(
                f"{path.name} unpacks to {total / 1e9:,.1f} GB, over the limit of "
                f"{options.max_archive_bytes / 1e9:,.0f} GB; zip only the photos of one scene."
            )
        yield Archive(path.name, archive, [entry for entry in entries if not entry.is_dir()])


def _check_entry(name: str, entry: zipfile.ZipInfo, options: ExtractOptions) -> None:
    inside = entry.orig_filename.replace("\\", "/")
    first = inside.split("/", 1)[0]
    if inside.startswith("/") or ":" in first or ".." in PurePosixPath(inside).parts or "\0" in inside:
        raise UnsafeArchive(
            f"{name} holds the path {_shown(inside)}, which leads out of the archive; make the zip again from a folder."
        )
    mode = entry.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UnsafeArchive(
            f"{_shown(inside)} in {name} is a link, not a photo; make the zip with the photos themselves."
        )
    if entry.flag_bits & 0x1:
        raise BadArchive(f"{name} is encrypted; make the zip again without a password.")
    if entry.is_dir():
        return
    if entry.compress_type not in _METHODS:
        raise BadArchive(f"{name} is packed with an unusual method; make an ordinary zip.")
    if entry.file_size > _RATIO_FLOOR_BYTES:
        if entry.file_size > options.max_archive_ratio * max(1, entry.compress_size):
            raise ArchiveTooLarge(
                f"{_shown(inside)} in {name} unpacks to {entry.file_size / max(1, entry.compress_size):,.0f} times its "
                "size, which no photo does; make the zip from the photos alone."
            )
        if entry.file_size > options.max_photo_bytes:
            raise ArchiveTooLarge(
                f"{_shown(inside)} in {name} unpacks to {entry.file_size / 1e6:,.0f} MB, over the limit of "
                f"{options.max_photo_bytes / 1e6:,.0f} MB for one photo; make the zip from the photos alone."
            )


def _check_directory_size(path: Path) -> None:
    """Read the end record alone: `zipfile` loads the directory whole, however long it claims to be."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 65_557))
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < 22:
            raise BadArchive(f"{path.name} is not a whole zip; copy it again or make it again.")
        length = struct.unpack_from("<I", tail, at + 12)[0]
        locator = tail[at - 20 : at] if at >= 20 else b""
        if locator.startswith(b"PK\x06\x07"):
            file.seek(min(size, struct.unpack_from("<Q", locator, 8)[0]))
            record = file.read(56)
            if len(record) == 56 and record.startswith(b"PK\x06\x06"):
                length = struct.unpack_from("<Q", record, 40)[0]
    if length > _MAX_DIRECTORY_BYTES:
        raise ArchiveTooLarge(f"{path.name} lists far too many files; zip only the photos of one scene.")


def _shown(name: str) -> str:
    """A name from the archive, safe to show."""
    return "".join(c if c.isprintable() else "?" for c in name[:80])
