"""SPZ: equal to the reference encoder byte for byte, bounded errors, and no trust in what a header claims."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from backports import zstd
from hypothesis import given

from tasks.errors import BadScene
from tasks.gaussians.frames import FLIP_SH
from tasks.gaussians.model import Gaussians
from tasks.gaussians.ply import read_ply
from tasks.gaussians.spz import HEADER, MAX_GAUSSIANS, NAMES, encode_spz, pack, read_spz, unpack, write_spz
from tasks.gaussians.spz_streams import dequantise, fractional_bits, quantise
from tests.gaussians.scenes import large_scenes, made, scenes, wild_scenes


def angles_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle of the rotation between quaternions (N, 4)."""
    a, b = (q.astype(np.float64) / np.linalg.norm(q.astype(np.float64), axis=1, keepdims=True) for q in (a, b))
    apart = np.minimum(np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1))
    return np.degrees(4 * np.arcsin(np.clip(apart / 2, 0, 1)))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def coded(scene: Gaussians) -> Gaussians:
    return dequantise(unpack(encode_spz(scene), "coded.spz"))


@pytest.mark.shared
def test_streams_equal_those_of_the_reference_encoder(shared_data: Path) -> None:
    mine = quantise(read_ply(shared_data / "spz" / "splats.ply"))
    theirs = unpack((shared_data / "spz" / "niantic_v3.spz").read_bytes(), "niantic_v3.spz")
    assert (theirs.version, theirs.sh_degree, theirs.fractional_bits) == (3, 3, 12)
    for name, a, b in zip(NAMES, mine.arrays(), theirs.arrays(), strict=True):
        assert a.shape == b.shape, name
        assert (a == b).all(), name
    reference = zlib.decompress((shared_data / "spz" / "niantic_v3.spz").read_bytes(), 31)
    assert zlib.decompress(pack(mine), 31) == reference


@pytest.mark.shared
@pytest.mark.parametrize(("version", "rotation_deg"), [(2, 12.0), (3, 0.3), (4, 0.3)])
def test_files_of_the_reference_decode_to_the_scene(shared_data: Path, version: int, rotation_deg: float) -> None:
    truth = read_ply(shared_data / "spz" / "splats.ply")
    scene = read_spz(shared_data / "spz" / f"niantic_v{version}.spz")
    assert np.abs(scene.means - truth.means).max() <= 2**-13
    assert angles_deg(scene.quats, truth.quats).max() <= rotation_deg
    assert np.abs(sigmoid(scene.opacities) - sigmoid(truth.opacities)).max() <= 0.51 / 255
    # the Python of the reference is not at hand; its three versions hold the same other arrays
    other = unpack((shared_data / "spz" / "niantic_v3.spz").read_bytes(), "v3")
    this = unpack((shared_data / "spz" / f"niantic_v{version}.spz").read_bytes(), f"v{version}")
    for name in ("positions", "alphas", "colors", "scales", "sh"):
        assert (getattr(this, name) == getattr(other, name)).all(), name


@given(scene=scenes)
def test_errors_are_bounded_by_half_a_step(scene: Gaussians) -> None:
    back = coded(scene)
    assert back.sh_degree == scene.sh_degree
    assert np.abs(back.means.astype(np.float64) - scene.means).max() <= 2**-13
    assert angles_deg(back.quats, scene.quats).max() <= 0.3
    assert np.abs(back.scales - scene.scales).max() <= 1 / 32 + 1e-6
    assert np.abs(sigmoid(back.opacities) - sigmoid(scene.opacities)).max() <= 0.5 / 255 + 1e-6
    assert np.abs(back.sh_coeffs[:, 0] - scene.sh_coeffs[:, 0]).max() <= 0.5 / (0.15 * 255) + 1e-5
    # half a bucket, and half a step of the rounding before it; 0.9 keeps off the clamp at 255
    assert np.abs(back.sh_coeffs[:, 1:4] - scene.sh_coeffs[:, 1:4]).max(initial=0) <= (4 + 0.5) / 128 + 1e-6
    assert np.abs(back.sh_coeffs[:, 4:] - scene.sh_coeffs[:, 4:]).max(initial=0) <= (8 + 0.5) / 128 + 1e-6


@given(scene=scenes)
def test_coding_again_changes_nothing_more(scene: Gaussians) -> None:
    once = coded(scene)
    twice = coded(once)
    for name in ("means", "scales", "opacities", "sh_coeffs"):
        assert (getattr(once, name) == getattr(twice, name)).all(), name
    # rounding may make another component the largest, so that rotations come to rest only within a step
    assert angles_deg(once.quats, twice.quats).max() <= 0.3


@given(scene=large_scenes)
def test_large_scenes_lose_precision_and_never_wrap(scene: Gaussians) -> None:
    bits = fractional_bits(scene.means)
    back = coded(scene)
    assert np.abs(back.means.astype(np.float64) - scene.means).max() <= 0.5 * 2.0**-bits * 1.001
    reach = float(np.abs(scene.means).max())
    assert bits == 12 or reach * 2 ** (bits + 1) >= 2**23 - 1


@given(scene=wild_scenes)
def test_any_finite_scene_is_coded_or_refused(scene: Gaussians) -> None:
    if np.abs(scene.means).max() > 8_388_607:
        with pytest.raises(BadScene, match="more than SPZ can hold"):
            encode_spz(scene)
        scene = replace(scene, means=np.clip(scene.means, -1, 1))
    data = encode_spz(scene)
    back = dequantise(unpack(data, "wild.spz"))
    for name in ("means", "quats", "scales", "opacities", "sh_coeffs"):
        assert np.isfinite(getattr(back, name)).all(), name
    assert np.allclose(np.linalg.norm(back.quats, axis=1), 1, atol=1e-5)


def test_largest_coordinate_does_not_wrap() -> None:
    for reach in (2047.9997, 2047.9999, 2048.0, 8_388_607.0):
        scene = replace(made(2, 0, seed=0), means=np.array([[reach, -reach, 0], [0, 1, -reach]], np.float32))
        assert np.allclose(coded(scene).means, scene.means, rtol=1e-3), reach
    with pytest.raises(BadScene, match="scale it down"):
        encode_spz(replace(scene, means=scene.means * 2))


def test_the_same_scene_is_the_same_file() -> None:
    assert encode_spz(made(30, 2, seed=1)) == encode_spz(made(30, 2, seed=1))


def test_harmonics_turn_with_the_frame() -> None:
    """A degree-3 colour seen along d in RDF is seen along the flipped d in RUB."""
    from tests.gaussians.harmonics import basis

    rng = np.random.default_rng(0)
    directions = rng.normal(size=(100, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    flipped = basis(directions * [1, -1, -1])[:, 1:]
    assert np.allclose(flipped * FLIP_SH, basis(directions)[:, 1:], atol=1e-12)


def test_rotations_turn_with_the_frame(tmp_path: Path) -> None:
    scene = made(20, 0, seed=7)
    streams = quantise(scene)
    flip = np.diag([1.0, -1.0, -1.0])
    w, x, y, z = (scene.quats / np.linalg.norm(scene.quats, axis=1, keepdims=True)).T
    rotation = np.stack(
        [
            *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
            *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
            *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
        ],
        -1,
    ).reshape(-1, 3, 3)
    turned = flip @ rotation @ flip
    # the quaternion in the file, RUB, decoded here by its definition
    packed = streams.rotations.view("<u4")[:, 0]
    for code, expected in zip(packed, turned, strict=True):
        largest = int(code) >> 30
        others = [int(code) >> shift & 1023 for shift in (20, 10, 0)]
        values = [(-1 if o & 512 else 1) * (o & 511) / 511 / 2**0.5 for o in others]
        values.insert(largest, (1 - sum(v * v for v in values)) ** 0.5)
        a, b, c, d = values  # x, y, z, w
        assert abs((1 - 2 * (b * b + c * c)) - expected[0, 0]) < 0.01
        assert abs(2 * (a * b + d * c) - expected[1, 0]) < 0.01
        assert abs(2 * (b * c + d * a) - expected[2, 1]) < 0.01


def test_antialiasing_is_remembered(tmp_path: Path) -> None:
    write_spz(tmp_path / "a.spz", made(3, 0, seed=8), antialiased=True)
    assert unpack((tmp_path / "a.spz").read_bytes(), "a").antialiased
    assert not unpack(encode_spz(made(3, 0, seed=8)), "a").antialiased


def v4(streams, *, extra: list[bytes] | None = None, **changes: int) -> bytes:
    """A version 4 file by its description."""
    arrays = [a.tobytes() for a in streams.arrays() if a.size] + (extra or [])
    frames = [zstd.compress(a) for a in arrays]
    fields = {"version": 4, "count": len(streams.positions), "bits": 12, "number": len(frames), "offset": 32, **changes}
    head = HEADER.pack(
        0x5053474E,
        fields["version"],
        fields["count"],
        streams.sh_degree,
        fields["bits"],
        0,
        fields["number"],
    )
    head += struct.pack("<I12x", fields["offset"]) + bytes(max(0, fields["offset"] - 32))
    table = b"".join(
        struct.pack("<QQ", len(f), fields.get("size", len(a))) for f, a in zip(frames, arrays, strict=True)
    )
    return head + table + b"".join(frames)


@pytest.mark.parametrize("degree", range(4))
def test_version_4_by_its_description(degree: int) -> None:
    streams = quantise(made(20, degree, seed=9))
    for data in (v4(streams), v4(streams, extra=[b"an extension"]), v4(streams, offset=48)):
        back = unpack(data, "made.spz")
        assert all((a == b).all() for a, b in zip(streams.arrays(), back.arrays(), strict=True))


def test_version_1_has_half_float_positions() -> None:
    scene = made(20, 1, seed=10)
    streams = quantise(scene)
    halves = (scene.means * np.array([1, -1, -1])).astype("<f2").view(np.uint8).reshape(20, 6)
    old = replace(streams, version=1, positions=halves, rotations=np.full((20, 3), 127, np.uint8))
    back = dequantise(unpack(pack(old), "v1.spz"))
    assert np.abs(back.means - scene.means).max() < 0.002
    assert np.abs(back.quats - [1, 0, 0, 0]).max() < 0.01


def gz(body: bytes, level: int = 6) -> bytes:
    squeeze = zlib.compressobj(level, zlib.DEFLATED, 31)
    return squeeze.compress(body) + squeeze.flush()


def head(version: int = 3, count: int = 5, degree: int = 0, bits: int = 12, flags: int = 0) -> bytes:
    return HEADER.pack(0x5053474E, version, count, degree, bits, flags, 0)


def hostile() -> dict[str, bytes]:
    streams = quantise(made(5, 1, seed=11))
    good = pack(streams)
    good4 = v4(streams)
    body = bytes(5 * 20)
    return {
        "nothing": b"",
        "rubbish": b"hello there, this is no splat file at all, not even nearly",
        "gzip of rubbish": gz(b"hello there, this is no splat file at all"),
        "gzip of nothing": gz(b""),
        "a header only": gz(head()),
        "half a header": gz(head()[:9]),
        "no Gaussians": gz(head(count=0)),
        "too many": gz(head(count=2**31) + body),
        "more than we take": gz(head(count=MAX_GAUSSIANS + 1) + body),
        "many claimed, few held": gz(head(count=MAX_GAUSSIANS) + body),
        "one byte short": gz(head() + body[:-1]),
        "one byte long": gz(head() + body + b"\0"),
        "a bomb": gz(head() + bytes(50_000_000), 9),
        "a bomb of extensions": gz(head(flags=2) + bytes(50_000_000), 9),
        "version 0": gz(head(version=0) + body),
        "version 4 in gzip": gz(head(version=4) + body),
        "version 5": gz(head(version=5) + body),
        "degree 4": gz(head(degree=4) + body),
        "fractional bits": gz(head(bits=200) + body),
        "truncated": good[: len(good) // 2],
        "without a checksum": good[:-8],
        "a wrong checksum": good[:-8] + bytes(8),
        "damaged": good[:40] + b"\xff\xff\xff\xff" + good[44:],
        "v4 truncated": good4[:-3],
        "v4 without a table": good4[:40],
        "v4 of version 3": v4(streams, version=3),
        "v4 no Gaussians": v4(streams, count=0),
        "v4 too many": v4(streams, count=2**32 - 1),
        "v4 fewer streams": v4(streams, number=2),
        "v4 a table outside": good4[:16] + struct.pack("<I", 2**32 - 1) + good4[20:],
        "v4 a table in the header": good4[:16] + struct.pack("<I", 4) + good4[20:],
        "v4 wrong sizes": v4(streams, size=2**60),
        "v4 damaged": good4[:112] + bytes(4) + good4[116:],  # the magic of the first frame
        "v4 a bomb": v4_bomb(streams),
    }


def v4_bomb(streams) -> bytes:
    """The first stream unpacks to 100 MB where 45 bytes are promised."""
    frames = [zstd.compress(bytes(100_000_000))] + [zstd.compress(a.tobytes()) for a in streams.arrays()[1:] if a.size]
    sizes = [a.size for a in streams.arrays() if a.size]
    data = HEADER.pack(0x5053474E, 4, 5, streams.sh_degree, 12, 0, len(frames)) + struct.pack("<I12x", 32)
    return data + b"".join(struct.pack("<QQ", len(f), s) for f, s in zip(frames, sizes, strict=True)) + b"".join(frames)


HOSTILE = hostile()


@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_hostile_files_are_refused_in_a_sentence(tmp_path: Path, what: str) -> None:
    path = tmp_path / "bad.spz"
    path.write_bytes(HOSTILE[what])
    with pytest.raises(BadScene) as caught:
        read_spz(path)
    assert str(path) in str(caught.value)
    assert "; " in str(caught.value)


def test_a_bomb_costs_no_memory() -> None:
    import tracemalloc

    for what in ("a bomb", "v4 a bomb", "many claimed, few held", "v4 wrong sizes"):
        tracemalloc.start()
        with pytest.raises(BadScene):
            unpack(HOSTILE[what], what)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4_000_000, (what, peak)


def test_nothing_finite_nothing_written(tmp_path: Path) -> None:
    scene = made(5, 1, seed=12)
    scene.scales[2, 1] = np.inf
    with pytest.raises(BadScene, match="scales"):
        write_spz(tmp_path / "a.spz", scene)
    assert not list(tmp_path.iterdir())
