"""A HEIC photo from one HEVC key frame (ISO/IEC 23008-12), since no encoder for it may be shipped."""

import struct
from pathlib import Path

import av


def _box(kind: bytes, *parts: bytes, version: int | None = None, flags: int = 0) -> bytes:
    body = b"".join(parts)
    if version is not None:
        body = struct.pack(">I", version << 24 | flags) + body
    return struct.pack(">I4s", 8 + len(body), kind) + body


def write_heic(path: Path, video: Path, *, quarter_turns: int = 0) -> tuple[int, int]:
    """Wrap the first key frame of the HEVC `video`; `quarter_turns` counter-clockwise.  Returns (width, height) coded."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        width, height = stream.codec_context.width, stream.codec_context.height
        extradata = bytes(stream.codec_context.extradata or b"")
        data = bytes(next(packet for packet in container.demux(stream) if packet.is_keyframe))
    properties = [
        _box(b"hvcC", extradata),
        _box(b"ispe", struct.pack(">II", width, height), version=0),
    ]
    essential = [0x80 | 1, 2]
    if quarter_turns:
        properties.append(_box(b"irot", bytes([quarter_turns])))
        essential.append(0x80 | 3)
    association = struct.pack(">IHB", 1, 1, len(essential)) + bytes(essential)

    def meta(offset: int) -> bytes:
        return _box(
            b"meta",
            _box(b"hdlr", struct.pack(">I4s12x", 0, b"pict"), b"\0", version=0),
            _box(b"pitm", struct.pack(">H", 1), version=0),
            _box(b"iloc", struct.pack(">BBHHHHII", 0x44, 0, 1, 1, 0, 1, offset, len(data)), version=0),
            _box(
                b"iinf",
                struct.pack(">H", 1),
                _box(b"infe", struct.pack(">HH4s", 1, 0, b"hvc1"), b"\0", version=2),
                version=0,
            ),
            _box(b"iprp", _box(b"ipco", *properties), _box(b"ipma", association, version=0)),
            version=0,
        )

    head = _box(b"ftyp", b"heic", struct.pack(">I", 0), b"mif1heic")
    offset = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(offset) + _box(b"mdat", data))
    return width, height
