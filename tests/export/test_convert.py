"""One scene file to another."""

from pathlib import Path

import numpy as np
import pytest

from tasks.errors import BadOption, BadScene, OutputUnwritable
from tasks.export.convert import FORMATS, convert
from tasks.gaussians.ply import read_ply, write_ply
from tasks.gaussians.spz import read_spz
from tests.gaussians.scenes import made


def test_ply_to_spz_and_back(tmp_path: Path) -> None:
    scene = made(100, 3, seed=1)
    write_ply(tmp_path / "a.ply", scene)
    assert convert(tmp_path / "a.ply", tmp_path / "b.spz") == 100
    assert convert(tmp_path / "b.spz", tmp_path / "c.ply") == 100
    back = read_ply(tmp_path / "c.ply")
    assert np.abs(back.means - scene.means).max() <= 2**-13
    assert np.array_equal(back.means, read_spz(tmp_path / "b.spz").means)
    assert np.abs(back.sh_coeffs - scene.sh_coeffs).max() < 0.1


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", ["a.ply", "a.spz"])
def test_every_format_from_every_source(tmp_path: Path, source: str, target: str) -> None:
    write_ply(tmp_path / "a.ply", made(10, 2, seed=2))
    convert(tmp_path / "a.ply", tmp_path / "a.spz")
    assert convert(tmp_path / source, tmp_path / f"out.{target.upper()}") == 10
    assert (tmp_path / f"out.{target.upper()}").stat().st_size > 0


def test_a_source_is_told_by_its_content(tmp_path: Path) -> None:
    write_ply(tmp_path / "really.spz", made(10, 0, seed=3))
    assert convert(tmp_path / "really.spz", tmp_path / "b.ply") == 10


@pytest.mark.parametrize("name", ["a.obj", "a", "a.ply.txt", ".ply"])
def test_unknown_formats_are_refused(tmp_path: Path, name: str) -> None:
    write_ply(tmp_path / "scene.ply", made(3, 0, seed=4))
    with pytest.raises(BadOption, match="spz"):
        convert(tmp_path / "scene.ply", tmp_path / name)


def test_a_named_format_goes_before_the_ending(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", made(10, 0, seed=7))
    convert(tmp_path / "a.ply", tmp_path / "b.bin", "spz")
    assert len(read_spz(tmp_path / "b.bin")) == 10
    with pytest.raises(BadOption, match="obj"):
        convert(tmp_path / "a.ply", tmp_path / "c.ply", "obj")


def test_a_scene_is_not_written_onto_itself(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", made(3, 0, seed=5))
    (tmp_path / "b.ply").symlink_to(tmp_path / "a.ply")
    for name in ("a.ply", "b.ply"):
        with pytest.raises(BadOption, match="itself"):
            convert(tmp_path / "a.ply", tmp_path / name)


def test_bad_sources_and_targets(tmp_path: Path) -> None:
    (tmp_path / "bad.ply").write_bytes(b"hello")
    with pytest.raises(BadScene):
        convert(tmp_path / "bad.ply", tmp_path / "a.spz")
    with pytest.raises(BadScene, match="no file"):
        convert(tmp_path / "none.ply", tmp_path / "a.spz")
    write_ply(tmp_path / "a.ply", made(3, 0, seed=6))
    with pytest.raises(OutputUnwritable):
        convert(tmp_path / "a.ply", tmp_path / "none" / "a.spz")
    assert {p.name for p in tmp_path.iterdir()} == {"bad.ply", "a.ply"}
