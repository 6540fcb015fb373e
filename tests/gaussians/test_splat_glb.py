""".splat and GLB: the structure that their readers expect, and the scene in it."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from tasks.errors import BadScene
from tasks.gaussians.glb import write_glb
from tasks.gaussians.model import Gaussians
from tasks.gaussians.splat import ROW, write_splat
from tests.gaussians.harmonics import basis
from tests.gaussians.scenes import made, wild_scenes


def parsed(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """The JSON and the attributes of a GLB, by the glTF 2.0 specification."""
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    assert size % 4 == 0
    document = json.loads(data[20 : 20 + size])
    binary_size, kind = struct.unpack_from("<I4s", data, 20 + size)
    assert kind == b"BIN\0"
    binary = data[28 + size :]
    assert len(binary) == binary_size == document["buffers"][0]["byteLength"]
    (primitive,) = document["meshes"][0]["primitives"]
    arrays = {}
    for name, index in primitive["attributes"].items():
        accessor = document["accessors"][index]
        view = document["bufferViews"][accessor["bufferView"]]
        assert accessor["componentType"] == 5126
        assert view["byteOffset"] % 4 == 0
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        assert view["byteLength"] == 4 * width * accessor["count"]
        arrays[name] = np.frombuffer(binary, "<f4", width * accessor["count"], view["byteOffset"]).reshape(-1, width)
    return document, arrays


@pytest.mark.parametrize("degree", range(4))
def test_glb_holds_the_scene_in_the_y_up_frame(tmp_path: Path, degree: int) -> None:
    scene = made(20, degree, seed=1)
    write_glb(tmp_path / "a.glb", scene)
    document, arrays = parsed(tmp_path / "a.glb")
    (primitive,) = document["meshes"][0]["primitives"]
    assert document["extensionsUsed"] == ["KHR_gaussian_splatting"]
    assert primitive["mode"] == 0
    assert primitive["extensions"]["KHR_gaussian_splatting"]["kernel"] == "ellipse"
    assert primitive["extensions"]["KHR_gaussian_splatting"]["colorSpace"] == "srgb_rec709_display"
    assert np.array_equal(arrays["POSITION"], scene.means * [1, -1, -1])
    position = document["accessors"][primitive["attributes"]["POSITION"]]
    assert position["min"] == arrays["POSITION"].min(0).tolist()
    assert position["max"] == arrays["POSITION"].max(0).tolist()
    prefix = "KHR_gaussian_splatting:"
    assert np.allclose(arrays[prefix + "SCALE"], np.exp(scene.scales))
    opacity = arrays[prefix + "OPACITY"][:, 0]
    assert np.allclose(opacity, 1 / (1 + np.exp(-scene.opacities)), atol=1e-6)
    assert np.allclose(np.linalg.norm(arrays[prefix + "ROTATION"], axis=1), 1, atol=1e-6)
    coefficients = [n for n in arrays if "SH_DEGREE" in n]
    assert len(coefficients) == (degree + 1) ** 2
    # a colour seen along d in the world is the colour seen along the turned d in the file
    directions = np.random.default_rng(0).normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    in_file = np.stack(
        [arrays[f"{prefix}SH_DEGREE_{d}_COEF_{n}"] for d in range(degree + 1) for n in range(2 * d + 1)], 1
    )
    count = len(coefficients)
    expected = np.einsum("nk,nkc->nc", basis(directions)[:, :count], scene.sh_coeffs)
    found = np.einsum("nk,nkc->nc", basis(directions * [1, -1, -1])[:, :count], in_file)
    assert np.allclose(found, expected, atol=1e-5)


def test_splat_rows_hold_the_scene(tmp_path: Path) -> None:
    scene = made(50, 2, seed=2)
    write_splat(tmp_path / "a.splat", scene)
    data = (tmp_path / "a.splat").read_bytes()
    assert len(data) == 32 * 50
    rows = np.frombuffer(data, ROW)
    order = [int(np.flatnonzero((scene.means == p).all(1))[0]) for p in rows["position"]]
    assert sorted(order) == list(range(50))
    assert np.allclose(rows["scale"], np.exp(scene.scales[order]), rtol=1e-6)
    quats = scene.quats[order] / np.linalg.norm(scene.quats[order], axis=1, keepdims=True)
    assert np.abs((rows["rotation"].astype(float) - 128) / 128 - quats).max() <= 1 / 128
    alpha = 1 / (1 + np.exp(-scene.opacities[order]))
    assert np.abs(rows["color"][:, 3] / 255 - alpha).max() <= 0.51 / 255
    importance = scene.scales[order].sum(1) + np.log(alpha)
    assert (np.diff(importance) <= 1e-5).all()


@given(scene=wild_scenes)
def test_any_finite_scene_is_written_finite(scene: Gaussians, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    write_splat(folder / "wild.splat", scene)
    rows = np.frombuffer((folder / "wild.splat").read_bytes(), ROW)
    assert np.isfinite(rows["position"]).all()
    assert np.isfinite(rows["scale"]).all()
    write_glb(folder / "wild.glb", scene)
    document, arrays = parsed(folder / "wild.glb")
    assert all(np.isfinite(array).all() for array in arrays.values())
    json.dumps(document, allow_nan=False)


@pytest.mark.parametrize("write", [write_glb, write_splat])
def test_nothing_is_written_of_a_broken_scene(tmp_path: Path, write) -> None:
    scene = made(5, 0, seed=3)
    for broken in (replace(scene, means=np.full_like(scene.means, np.nan)), made(0, 0, seed=0)):
        with pytest.raises(BadScene):
            write(tmp_path / "a", broken)
    assert not list(tmp_path.iterdir())
