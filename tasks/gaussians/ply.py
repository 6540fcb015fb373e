"""The 3DGS PLY: the file of "3D Gaussian Splatting" (Kerbl et al., SIGGRAPH 2023) that every viewer reads.

Written: binary little-endian, one `vertex` element of 62 floats: x y z, nx ny nz (zero), f_dc_0..2, f_rest_0..44
(channel-major: all of red, then green, then blue), opacity (logit), scale_0..2 (natural logarithm), rot_0..3 (wxyz).
Always the layout of degree 3, lower degrees padded with zeros, since many readers know no other.

Read: degrees 0 to 3, any order of properties, any numeric types, further properties and elements, both byte orders.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.errors import BadScene
from tasks.gaussians.files import atomic_write, read_scene_bytes
from tasks.gaussians.model import COEFFS_OF_DEGREE, Gaussians

MAX_HEADER_BYTES = 1 << 16
ROWS_AT_ONCE = 1 << 16  # bounds the memory of writing
WRITTEN = (
    *("x", "y", "z", "nx", "ny", "nz"),
    *(f"f_dc_{i}" for i in range(3)),
    *(f"f_rest_{i}" for i in range(45)),
    "opacity",
    *(f"scale_{i}" for i in range(3)),
    *(f"rot_{i}" for i in range(4)),
)
TYPES = {
    **{"char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2"},
    **{"uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4"},
    **{"float": "f4", "float32": "f4", "double": "f8", "float64": "f8"},
}


def write_ply(path: Path, gaussians: Gaussians) -> None:
    """Write the Gaussians as a 3DGS PLY, whole or not at all.

    Raises:
        BadScene: there are none, or a value is not finite.
        DiskFull, OutputUnwritable.
    """
    check_finite(gaussians, "The scene to write")
    count, coeffs = len(gaussians), gaussians.sh_coeffs.shape[1]
    properties = "".join(f"property float {name}\n" for name in WRITTEN)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n{properties}end_header\n"
    with atomic_write(path) as file:
        file.write(header.encode("ascii"))
        for begin in range(0, count, ROWS_AT_ONCE):
            rows = slice(begin, begin + ROWS_AT_ONCE)
            sh = gaussians.sh_coeffs[rows]  # (n, K, 3)
            table = np.zeros((len(sh), len(WRITTEN)), "<f4")
            table[:, 0:3] = gaussians.means[rows]
            table[:, 6:9] = sh[:, 0]
            rest = table[:, 9:54].reshape(-1, 3, 15)  # a view: channel-major
            rest[:, :, : coeffs - 1] = sh[:, 1:].transpose(0, 2, 1)
            table[:, 54] = gaussians.opacities[rows]
            table[:, 55:58] = gaussians.scales[rows]
            table[:, 58:62] = gaussians.quats[rows]
            file.write(table.data)


def read_ply(path: Path) -> Gaussians:
    """Read a 3DGS PLY. Bands of spherical harmonics at the end that are zero everywhere are left out.

    Raises BadScene, with a sentence on what is wrong with the file.
    """
    data = read_scene_bytes(path)
    header = _parse_header(data, path)
    if header.offset + header.count * header.row.itemsize > len(data):
        raise BadScene(f"{path} is cut off: its header promises {header.count:,} Gaussians; fetch the file again.")
    if header.alone and header.offset + header.count * header.row.itemsize != len(data):
        raise BadScene(f"{path} holds more than the {header.count:,} Gaussians of its header; fetch the file again.")
    rows = np.frombuffer(data, header.row, header.count, header.offset)
    names = set(header.row.names or ())
    _check_names(names, path)

    def columns(*keys: str) -> NDArray[np.float32]:
        table = np.empty((len(rows), len(keys)), np.float32)
        with np.errstate(over="ignore"):  # a double too large for a float becomes inf, which is refused below
            for column, key in enumerate(keys):
                table[:, column] = rows[key]
        return table

    rest = sum(name.startswith("f_rest_") for name in names)
    sh = columns("f_dc_0", "f_dc_1", "f_dc_2")[:, None]
    if rest:
        higher = columns(*(f"f_rest_{i}" for i in range(rest))).reshape(-1, 3, rest // 3).transpose(0, 2, 1)
        sh = np.concatenate([sh, higher], 1)
    gaussians = Gaussians(
        means=columns("x", "y", "z"),
        quats=columns("rot_0", "rot_1", "rot_2", "rot_3"),
        scales=columns("scale_0", "scale_1", "scale_2"),
        opacities=columns("opacity")[:, 0],
        sh_coeffs=sh,
    )
    check_finite(gaussians, str(path))
    return without_empty_bands(gaussians)


def check_finite(gaussians: Gaussians, what: str) -> None:
    """Raises BadScene when there is no Gaussian or a value that is not finite; `what` begins the sentence."""
    if not len(gaussians):
        raise BadScene(f"{what} holds no Gaussian; give a scene that does.")
    for name in ("means", "quats", "scales", "opacities", "sh_coeffs"):
        if not np.isfinite(getattr(gaussians, name)).all():
            raise BadScene(f"{what} has values in its {name} that are not finite; make the scene anew.")


def without_empty_bands(gaussians: Gaussians) -> Gaussians:
    """The same scene with the lowest degree of spherical harmonics that holds everything that isn't zero."""
    degree = gaussians.sh_degree
    sh = gaussians.sh_coeffs
    while degree and not sh[:, COEFFS_OF_DEGREE[degree - 1] : COEFFS_OF_DEGREE[degree]].any():
        degree -= 1
    if degree == gaussians.sh_degree:
        return gaussians
    return Gaussians(
        means=gaussians.means,
        quats=gaussians.quats,
        scales=gaussians.scales,
        opacities=gaussians.opacities,
        sh_coeffs=np.ascontiguousarray(sh[:, : COEFFS_OF_DEGREE[degree]]),
    )


@dataclass(frozen=True, kw_only=True)
class _Header:
    """Where the Gaussians are: `count` rows of dtype `row` from byte `offset`; `alone` when nothing follows them."""

    count: int
    row: np.dtype
    offset: int
    alone: bool


def _parse_header(data: bytes, path: Path) -> _Header:
    if not data.startswith((b"ply\n", b"ply\r\n")):
        raise BadScene(f"{path} is not a PLY file; give the scene.ply of a result.")
    end = re.search(rb"(?:^|\n)end_header *\r?\n", data[:MAX_HEADER_BYTES])
    if end is None:
        raise BadScene(f"{path} has no end of its header within {MAX_HEADER_BYTES // 1024} KiB; fetch the file again.")
    try:
        return _read_elements(data[: end.start()].decode("ascii").splitlines()[1:], end.end(), path)
    except (ValueError, LookupError) as error:
        raise BadScene(f"{path} has a damaged PLY header; fetch the file again.") from error


def _read_elements(lines: list[str], offset: int, path: Path) -> _Header:
    order = ""
    elements: list[tuple[str, int, list[tuple[str, str]]]] = []  # name, count, [(property, dtype or "list")]
    for words in (line.split() for line in lines):
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format":
            if words[1] == "ascii":
                raise BadScene(f"{path} is a PLY written as text; save it as binary little-endian.")
            order = {"binary_little_endian": "<", "binary_big_endian": ">"}[words[1]] if words[1:] else ""
        elif words[0] == "element" and len(words) == 3:
            if not words[2].isdecimal():
                raise ValueError(words[2])
            elements.append((words[1], int(words[2]), []))
        elif words[0] == "property" and len(words) == 3:
            elements[-1][2].append((words[2], order + TYPES[words[1]]))
        elif words[0] == "property" and words[1] == "list":
            elements[-1][2].append((words[-1], "list"))
        else:
            raise ValueError(" ".join(words))
    names = [name for name, _, _ in elements]
    if "vertex" not in names or not order:
        raise BadScene(f"{path} holds no points; give the scene.ply of a result.")
    for number, (name, count, properties) in enumerate(elements):
        lists = any(kind == "list" for _, kind in properties)
        if name == "vertex":
            if lists:
                raise BadScene(f"{path} is not a 3DGS PLY: its points hold lists; give the scene.ply of a result.")
            if not count:
                raise BadScene(f"{path} holds no Gaussian; give a scene that does.")
            row = np.dtype(properties)
            return _Header(count=count, row=row, offset=offset, alone=number == len(elements) - 1)
        if lists:
            raise BadScene(f"{path} holds lists before its points; give the scene.ply of a result.")
        offset += count * np.dtype(properties).itemsize
    raise AssertionError("unreachable: there is a vertex element")


def _check_names(names: set[str], path: Path) -> None:
    if "packed_position" in names:
        raise BadScene(f"{path} is a compressed PLY; convert it to an ordinary 3DGS PLY first.")
    wanted = {name for name in WRITTEN if not name.startswith(("n", "f_rest_"))}
    missing = [name for name in WRITTEN if name in wanted - names]
    if missing:
        raise BadScene(f"{path} is not a 3DGS PLY: it lacks {', '.join(missing)}; give the scene.ply of a result.")
    rest = {name for name in names if name.startswith("f_rest_")}
    allowed = [3 * (coeffs - 1) for coeffs in COEFFS_OF_DEGREE]
    if len(rest) not in allowed or rest != {f"f_rest_{i}" for i in range(len(rest))}:
        raise BadScene(
            f"{path} has {len(rest)} f_rest properties where 0, 9, 24 or 45 numbered in order are possible; "
            "save it with spherical harmonics of degree 0 to 3."
        )
