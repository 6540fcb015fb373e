"""SPZ, the compressed Gaussian splat file of Niantic: version 3 is written, 1 to 4 are read.

Source: nianticlabs/spz (MIT). Versions 1-3: one gzip stream of a 16-byte header and the arrays. Version 4: a 32-byte
header, a table of streams, and a zstd frame each. Version 3 is written because viewers read it and not all read 4;
version 2's rotations err by up to 11 degrees. The arrays themselves are in `spz_streams`.

A hostile file costs no more memory than its header explains: that is read first, and no stream may unpack to more.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
from backports import zstd

from tasks.errors import BadScene
from tasks.gaussians.files import atomic_write, read_scene_bytes
from tasks.gaussians.model import Gaussians
from tasks.gaussians.ply import check_finite
from tasks.gaussians.spz_streams import FRACTIONAL_BITS, Streams, dequantise, quantise, widths

MAGIC = 0x5053474E  # "NGSP"
HEADER = struct.Struct("<IIIBBBB")  # magic, version, N, SH degree, fractional bits, flags, streams (v4) or 0
TABLE_OFFSET = struct.Struct("<I12x")  # v4: the rest of its 32 bytes
TABLE_ROW = struct.Struct("<QQ")  # v4: compressed and uncompressed size of a stream
ANTIALIASED = 1
EXTENSIONS = 2
MAX_GAUSSIANS = 20_000_000  # 1.3 GB of arrays
MAX_EXTENSION_BYTES = 1 << 20
NAMES = ("positions", "alphas", "colors", "scales", "rotations", "sh")


def write_spz(path: Path, gaussians: Gaussians, *, antialiased: bool = False, most_bits: int = FRACTIONAL_BITS) -> None:
    """Write Gaussians of the RDF world as SPZ version 3, whole or not at all.

    Args:
        antialiased: they were trained with the antialiased rasteriser.
        most_bits: fractional bits of the positions where the scene isn't too large for them.

    Raises:
        BadScene: there are none or too many, a value is not finite, or the scene is too large for 24-bit positions.
        DiskFull, OutputUnwritable.
    """
    data = encode_spz(gaussians, antialiased=antialiased, most_bits=most_bits)
    with atomic_write(path) as file:
        file.write(data)


def read_spz(path: Path) -> Gaussians:
    """Read an SPZ file of version 1 to 4 into the RDF world.

    Raises BadScene, with a sentence on what is wrong with the file.
    """
    return dequantise(unpack(read_scene_bytes(path), str(path)))


def encode_spz(gaussians: Gaussians, *, antialiased: bool = False, most_bits: int = FRACTIONAL_BITS) -> bytes:
    """The bytes of a version 3 file; the same for the same Gaussians. Raises BadScene as `write_spz`."""
    check_finite(gaussians, "The scene to write")
    if len(gaussians) > MAX_GAUSSIANS:
        raise BadScene(f"{len(gaussians):,} Gaussians are too many for an SPZ file; at most {MAX_GAUSSIANS:,} fit.")
    return pack(quantise(gaussians, antialiased=antialiased, most_bits=most_bits))


def pack(streams: Streams) -> bytes:
    """A gzip file (versions 1 to 3) of the streams."""
    flags = ANTIALIASED if streams.antialiased else 0
    head = (MAGIC, streams.version, len(streams.positions), streams.sh_degree, streams.fractional_bits, flags, 0)
    # zlib and not gzip: no file name and no time goes in, so that equal scenes are equal files
    squeeze = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    parts = [squeeze.compress(HEADER.pack(*head))]
    parts += [squeeze.compress(np.ascontiguousarray(array).data) for array in streams.arrays() if array.size]
    return b"".join([*parts, squeeze.flush()])


def unpack(data: bytes, name: str) -> Streams:
    """The streams of a file's bytes; `name` is what the sentences call it. Raises BadScene."""
    try:
        if data[:2] == b"\x1f\x8b":
            return _unpack_gzip(data, name)
        if len(data) >= HEADER.size + TABLE_OFFSET.size and HEADER.unpack_from(data)[0] == MAGIC:
            return _unpack_v4(data, name)
    except (zlib.error, zstd.ZstdError, struct.error, EOFError) as error:
        raise BadScene(f"{name} is a damaged SPZ file; fetch it again.") from error
    raise BadScene(f"{name} is not an SPZ file; give the scene.spz of a result.")


def _check_header(data: bytes, name: str, versions: tuple[int, ...]) -> tuple[int, int, int, int, int, int]:
    """(version, N, SH degree, fractional bits, flags, number of streams)"""
    if len(data) < HEADER.size:
        raise BadScene(f"{name} is cut off; fetch it again.")
    magic, version, count, degree, bits, flags, streams = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise BadScene(f"{name} is not an SPZ file; give the scene.spz of a result.")
    if version not in versions:
        raise BadScene(f"{name} is an SPZ file of version {version}; versions 1 to 4 can be read.")
    if not 0 < count <= MAX_GAUSSIANS:
        raise BadScene(f"{name} claims {count:,} Gaussians; 1 to {MAX_GAUSSIANS:,} can be read.")
    if degree > 3:
        raise BadScene(f"{name} has spherical harmonics of degree {degree}; save it with degree 0 to 3.")
    if bits > 23:
        raise BadScene(f"{name} is a damaged SPZ file (its positions have {bits} fractional bits); fetch it again.")
    return version, count, degree, bits, flags, streams


def _unpack_gzip(data: bytes, name: str) -> Streams:
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
    head = _inflate(inflate, data, HEADER.size)
    version, count, degree, bits, flags, _ = _check_header(head, name, (1, 2, 3))
    sizes = [count * width for width in widths(version, degree)]
    expected = sum(sizes)
    # Deflate can't pack tighter than 1032 to 1: a header that claims more than that is not worth any memory.
    if expected > 1032 * len(data):
        raise BadScene(f"{name} is cut off: it is too short for its {count:,} Gaussians; fetch it again.")
    spare = MAX_EXTENSION_BYTES if flags & EXTENSIONS else 0
    body = _inflate(inflate, inflate.unconsumed_tail, expected + spare + 1)
    if len(body) < expected:
        raise BadScene(f"{name} is cut off: it is too short for its {count:,} Gaussians; fetch it again.")
    if len(body) > expected + spare:
        raise BadScene(f"{name} unpacks to more than its header explains; fetch it again.")
    if not inflate.eof:
        raise BadScene(f"{name} is cut off before its checksum; fetch it again.")
    offsets = np.cumsum([0, *sizes])
    arrays = [np.frombuffer(body, np.uint8, size, offset) for size, offset in zip(sizes, offsets, strict=False)]
    return _streams(arrays, version, count, degree, bits, flags)


def _inflate(inflate: "zlib._Decompress", data: bytes, size: int) -> bytes:
    """Up to `size` bytes, never more."""
    out = inflate.decompress(data, size)
    while len(out) < size and not inflate.eof and inflate.unconsumed_tail:
        more = inflate.decompress(inflate.unconsumed_tail, size - len(out))
        if not more:
            break
        out += more
    return out


def _unpack_v4(data: bytes, name: str) -> Streams:
    version, count, degree, bits, flags, number = _check_header(data, name, (4,))
    (offset,) = TABLE_OFFSET.unpack_from(data, HEADER.size)
    sizes = [count * width for width in widths(version, degree)]
    wanted = [size for size in sizes if size]  # empty streams are left out of the file
    if number < len(wanted) or offset < HEADER.size + TABLE_OFFSET.size:
        raise BadScene(f"{name} is a damaged SPZ file: it has {number} streams of {len(wanted)}; fetch it again.")
    rows = [TABLE_ROW.unpack_from(data, offset + i * TABLE_ROW.size) for i in range(number)]
    begin = offset + number * TABLE_ROW.size
    arrays = []
    for size, (packed, unpacked) in zip(wanted, rows, strict=False):  # what follows are extensions
        if unpacked != size:
            raise BadScene(
                f"{name} has a stream of {unpacked:,} bytes where its header explains {size:,}; fetch it again."
            )
        if begin + packed > len(data):
            raise BadScene(f"{name} is cut off; fetch it again.")
        arrays.append(np.frombuffer(_unzstd(data[begin : begin + packed], size, name), np.uint8))
        begin += packed
    arrays += [np.zeros(0, np.uint8)] * (len(sizes) - len(arrays))
    return _streams(arrays, version, count, degree, bits, flags)


def _unzstd(frame: bytes, size: int, name: str) -> bytes:
    """Exactly `size` bytes of a zstd frame, never more."""
    decompressor = zstd.ZstdDecompressor()
    out = bytearray(decompressor.decompress(frame, size + 1))
    while len(out) <= size and not decompressor.eof:
        more = decompressor.decompress(b"", size + 1 - len(out))
        if not more:
            break
        out += more
    if len(out) != size or not decompressor.eof:
        raise BadScene(f"{name} has a stream that doesn't unpack to what its header explains; fetch it again.")
    return bytes(out)


def _streams(arrays: list[np.ndarray], version: int, count: int, degree: int, bits: int, flags: int) -> Streams:
    shaped = (array.reshape(count, -1) if array.size else np.zeros((count, 0), np.uint8) for array in arrays)
    return Streams(
        version=version,
        sh_degree=degree,
        fractional_bits=bits,
        antialiased=bool(flags & ANTIALIASED),
        **dict(zip(NAMES, shaped, strict=True)),
    )
