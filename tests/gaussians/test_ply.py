"""The 3DGS PLY: what is written comes back bit for bit, and what can't be read is said in a sentence."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from tasks.errors import BadScene, DiskFull, OutputUnwritable
from tasks.gaussians.model import Gaussians
from tasks.gaussians.ply import WRITTEN, read_ply, without_empty_bands, write_ply
from tests.gaussians.scenes import made, wild_scenes

ATTRIBUTES = ("means", "quats", "scales", "opacities", "sh_coeffs")


def same(a: Gaussians, b: Gaussians) -> bool:
    """Equal bit for bit, -0.0 and denormals included."""
    return all(
        getattr(a, name).shape == getattr(b, name).shape and getattr(a, name).tobytes() == getattr(b, name).tobytes()
        for name in ATTRIBUTES
    )


def hand_made(path: Path, names: list[str], rows: np.ndarray, *, order: str = "little", kind: str = "float") -> None:
    """A PLY of floats or doubles with the properties in the order given."""
    header = f"ply\nformat binary_{order}_endian 1.0\ncomment by hand\nelement vertex {len(rows)}\n"
    header += "".join(f"property {kind} {name}\n" for name in names) + "end_header\n"
    dtype = {"little": "<", "big": ">"}[order] + {"float": "f4", "double": "f8"}[kind]
    path.write_bytes(header.encode() + rows.astype(dtype).tobytes())


@given(scene=wild_scenes)
def test_what_is_written_comes_back_bit_for_bit(scene: Gaussians, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "round.ply"
    write_ply(path, scene)
    assert same(read_ply(path), without_empty_bands(scene))


@pytest.mark.parametrize("degree", range(4))
def test_degree_survives_the_padding(tmp_path: Path, degree: int) -> None:
    scene = made(50, degree, seed=degree)
    write_ply(tmp_path / "a.ply", scene)
    back = read_ply(tmp_path / "a.ply")
    assert back.sh_degree == degree
    assert same(back, scene)


def test_layout_is_the_standard_one(tmp_path: Path) -> None:
    scene = made(3, 1, seed=1)
    write_ply(tmp_path / "a.ply", scene)
    data = (tmp_path / "a.ply").read_bytes()
    header, body = data.split(b"end_header\n", 1)
    assert header.startswith(b"ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\n")
    assert [line.split()[-1].decode() for line in header.splitlines() if line.startswith(b"property")] == list(WRITTEN)
    table = np.frombuffer(body, "<f4").reshape(3, 62)
    assert (table[:, WRITTEN.index("nx") : WRITTEN.index("f_dc_0")] == 0).all()
    # channel-major: 15 of red, 15 of green, 15 of blue
    for channel in range(3):
        begin = WRITTEN.index("f_rest_0") + 15 * channel
        assert (table[:, begin : begin + 3] == scene.sh_coeffs[:, 1:, channel]).all()
        assert (table[:, begin + 3 : begin + 15] == 0).all()
    assert (table[:, WRITTEN.index("rot_0")] == scene.quats[:, 0]).all()


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("kind", ["float", "double"])
def test_any_order_of_properties_and_further_ones(tmp_path: Path, order: str, kind: str) -> None:
    rng = np.random.default_rng(0)
    names = [name for name in WRITTEN if not name.startswith(("n", "f_rest"))] + [f"f_rest_{i}" for i in range(24)]
    names += ["segment", "confidence"]
    rng.shuffle(names)
    rows = rng.normal(size=(7, len(names))).astype(np.float32)
    hand_made(tmp_path / "a.ply", names, rows, order=order, kind=kind)
    scene = read_ply(tmp_path / "a.ply")
    assert scene.sh_degree == 2
    assert (scene.means[:, 1] == rows[:, names.index("y")]).all()
    assert (scene.sh_coeffs[:, 3, 1] == rows[:, names.index("f_rest_10")]).all()


def test_elements_before_and_after_the_points(tmp_path: Path) -> None:
    scene = made(4, 0, seed=2)
    write_ply(tmp_path / "a.ply", scene)
    header, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n", 1)
    header = header.replace(b"element vertex", b"element extra 2\nproperty uchar a\nproperty int b\nelement vertex")
    header += b"element camera 1\nproperty list uchar float k\n"
    (tmp_path / "b.ply").write_bytes(header + b"end_header\n" + bytes(10) + body + b"\x01\x00\x00\x80?")
    assert same(read_ply(tmp_path / "b.ply"), scene)


def damaged(data: bytes) -> dict[str, bytes]:
    header, body = data.split(b"end_header\n", 1)
    nan = bytearray(data)
    nan[-4:] = np.float32(np.nan).tobytes()
    infinite = bytearray(data)
    infinite[-62 * 4 : -61 * 4] = np.float32(np.inf).tobytes()
    end = b"end_header\n"
    return {
        "nothing": b"",
        "not a ply": b"solid cube\n" + data,
        "only the magic": b"ply\n",
        "cut off": data[:-1],
        "cut off in the header": data[:100],
        "too much": data + b"\0",
        "wrong count": header.replace(b"vertex 5", b"vertex 6") + end + body,
        "a vast count": header.replace(b"vertex 5", b"vertex 99999999999999999999") + end + body,
        "a count that is no number": header.replace(b"vertex 5", b"vertex five") + end + body,
        "a negative count": header.replace(b"vertex 5", b"vertex -5") + end + body,
        "no Gaussians": header.replace(b"vertex 5", b"vertex 0") + end,
        "text": header.replace(b"binary_little_endian", b"ascii") + end + b"0 " * 310,
        "unknown format": header.replace(b"binary_little_endian", b"middle") + end + body,
        "unknown type": header.replace(b"float x", b"quaternion x") + end + body,
        "a property of nothing": b"ply\nformat binary_little_endian 1.0\nproperty float x\n" + end,
        "a property twice": header.replace(b"float y", b"float x") + end + body,
        "a point cloud": header.replace(b"f_dc_0", b"red") + end + body,
        "compressed": header.replace(b"float x", b"float packed_position") + end + body,
        "lists": header.replace(b"property float x", b"property list uchar float x") + end + body,
        "no points": b"ply\nformat binary_little_endian 1.0\nelement face 0\n" + end,
        "f_rest with a gap": header.replace(b"f_rest_7\n", b"f_rest_77\n") + end + body,
        "f_rest of no degree": header.replace(b"f_rest_44\n", b"other\n") + end + body,
        "a header without end": header + b"comment x\n" * 20_000 + end + body,
        "not a number": bytes(nan),
        "infinite": bytes(infinite),
        "binary rubbish": b"ply\n" + bytes(range(256)) * 40 + b"\nend_header\n",
    }


@pytest.mark.parametrize("what", sorted(damaged(b"vertex 5\nend_header\n" + bytes(300))))
def test_damaged_files_are_refused_in_a_sentence(tmp_path: Path, what: str) -> None:
    write_ply(tmp_path / "good.ply", made(5, 3, seed=3))
    path = tmp_path / "bad.ply"
    path.write_bytes(damaged((tmp_path / "good.ply").read_bytes())[what])
    with pytest.raises(BadScene) as caught:
        read_ply(path)
    assert str(path) in str(caught.value)
    assert "; " in str(caught.value)  # what is wrong; what to do
    assert str(caught.value).endswith(".")


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadScene, match="no file"):
        read_ply(tmp_path / "none.ply")
    with pytest.raises(BadScene, match="can't be read"):
        read_ply(tmp_path)


@pytest.mark.parametrize("name", ["means", "quats", "scales", "opacities", "sh_coeffs"])
def test_what_is_not_finite_is_never_written(tmp_path: Path, name: str) -> None:
    scene = made(5, 1, seed=4)
    getattr(scene, name).flat[3] = np.nan
    with pytest.raises(BadScene, match=name):
        write_ply(tmp_path / "a.ply", scene)
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    scene = made(5, 0, seed=5)
    with pytest.raises(OutputUnwritable):
        write_ply(tmp_path / "none" / "a.ply", scene)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputUnwritable):
        write_ply(tmp_path / "folder", scene)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tasks.gaussians.files.os.fsync", full)
    with pytest.raises(DiskFull, match="free some space"):
        write_ply(path, made(5, 0, seed=6))
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.ply"]


@pytest.mark.shared
def test_a_file_of_the_reference_is_read(shared_data: Path) -> None:
    scene = read_ply(shared_data / "spz" / "splats.ply")
    assert len(scene) == 20_000
    assert scene.sh_degree == 3
