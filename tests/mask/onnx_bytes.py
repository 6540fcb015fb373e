"""Small networks in ONNX's protobuf, written by hand, since no ONNX library is here."""

from collections.abc import Sequence

Field = tuple[int, int | bytes | str]


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(*fields: Field) -> bytes:
    """A protobuf message of (number, value) fields: integers as varints, the rest with a length before it."""
    out = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return bytes(out)


def tensor(name: str, shape: Sequence[int | str]) -> bytes:
    """ValueInfoProto of a float tensor; a text is a free dimension."""
    dims = [(1, message((1, size) if isinstance(size, int) else (2, size))) for size in shape]
    return message((1, name), (2, message((1, message((1, 1), (2, message(*dims)))))))


def node(kind: str, inputs: Sequence[str], output: str, *attributes: bytes) -> bytes:
    return message(*[(1, name) for name in inputs], (2, output), (4, kind), *[(5, a) for a in attributes])


def integers(name: str, values: Sequence[int]) -> bytes:
    """AttributeProto of integers."""
    return message((1, name), *[(8, value) for value in values], (20, 7))


def model(nodes: Sequence[bytes], inputs: Sequence[bytes], outputs: Sequence[bytes]) -> bytes:
    graph = message(*[(1, n) for n in nodes], (2, "made"), *[(11, v) for v in inputs], *[(12, v) for v in outputs])
    return message((1, 8), (8, message((1, ""), (2, 13))), (7, graph))


def bright_is_subject(side: int = 320, *, batch: int | str = 1) -> bytes:
    """A network whose foreground is what is bright: a steep sigmoid of the mean over the colours."""
    nodes = [node("ReduceMean", ["in"], "m0", integers("axes", [1]))]
    nodes += [node("Add", [f"m{i}", f"m{i}"], f"m{i + 1}") for i in range(3)]
    nodes.append(node("Sigmoid", ["m3"], "out"))
    return model(nodes, [tensor("in", [batch, 3, side, side])], [tensor("out", [batch, 1, side, side])])


def classifier(side: int = 320) -> bytes:
    """One number a colour instead of a map."""
    nodes = [node("ReduceMean", ["in"], "out", integers("axes", [2, 3]))]
    return model(nodes, [tensor("in", [1, 3, side, side])], [tensor("out", [1, 3, 1, 1])])
