"""A cautious look at an MP4 or MOV file's boxes before any library parses them (ISO/IEC 14496-12).

FFmpeg builds an index entry in memory for each sample that a `stsz` box claims, and a box of twenty bytes can claim
four billion; so the claims are read here first. The top level also tells a truncated file from one that is no video.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MAX_BOXES = 20_000  # headers read altogether; a long fragmented file has about two a second
_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex"}
_TOP_LEVEL = {
    b"ftyp",
    b"moov",
    b"mdat",
    b"free",
    b"skip",
    b"wide",
    b"moof",
    b"styp",
    b"sidx",
    b"uuid",
    b"pnot",
    b"meta",
}
STILL_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif", b"avis"}


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """What the boxes of one file claim."""

    brand: bytes  # major brand of `ftyp`, b"" where there is none
    has_index: bool  # a `moov` box that lies wholly in the file
    fragmented: bool  # `mvex` or `moof`
    cut_short: bool  # a top-level box reaches over the end of the file
    samples: int  # most samples that one track claims
    compressed_index: bool  # `cmov`: a header that inflates to any size


def scan(path: Path) -> Boxes | None:
    """The boxes of `path`, or None if it does not start like an MP4 or MOV file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if len(head) < 8 or head[4:8] not in _TOP_LEVEL:
            return None
        state = _Scan(file)
        state.walk(0, size, top=True)
    return Boxes(
        brand=head[8:12] if head[4:8] == b"ftyp" else b"",
        has_index=state.has_index,
        fragmented=state.fragmented,
        cut_short=state.cut_short,
        samples=state.samples,
        compressed_index=state.compressed_index,
    )


class _Scan:
    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.boxes = 0
        self.has_index = False
        self.fragmented = False
        self.cut_short = False
        self.compressed_index = False
        self.samples = 0

    def walk(self, start: int, end: int, *, top: bool = False, depth: int = 0) -> None:
        at = start
        while at + 8 <= end and self.boxes < _MAX_BOXES:
            self.boxes += 1
            self.file.seek(at)
            header = self.file.read(16)
            length, kind, body = int.from_bytes(header[:4], "big"), header[4:8], at + 8
            if length == 1 and len(header) == 16:
                length, body = int.from_bytes(header[8:16], "big"), at + 16
            elif length == 0:
                length = end - at
            if length < body - at:
                return
            stop = at + length
            if top and stop > end:
                self.cut_short = True
            if kind == b"moov":
                self.has_index = self.has_index or stop <= end
            elif kind in (b"mvex", b"moof"):
                self.fragmented = True
            elif kind == b"cmov":
                self.compressed_index = True
            elif kind in (b"stsz", b"stz2"):
                self.file.seek(body + 8)
                self.samples = max(self.samples, int.from_bytes(self.file.read(4), "big"))
            if kind in _PARENTS and depth < 8:
                self.walk(body, min(stop, end), depth=depth + 1)
            at = stop
        if top and end - at in range(1, 8):
            self.cut_short = True
