"""What is missing for a mesh is said before any work is done, with what to install."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.errors import MeshUnavailable
from tasks.mesh.options import MeshOptions
from tasks.mesh.require import require
from tasks.mesh.step import mesh


def test_passes_where_all_is_there() -> None:
    require()


def test_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    require()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("package", ["open3d", "trimesh"])
def test_a_missing_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # what an import of a package that isn't there meets
    with pytest.raises(MeshUnavailable, match=rf"{package}.*pip install 'splatflow\[mesh\]'"):
        mesh(tmp_path, tmp_path, tmp_path / "out", MeshOptions(), lambda done, total, message: None)
    assert not (tmp_path / "out").exists()


def test_a_missing_library_of_the_system(tmp_path: Path) -> None:
    """As the loader says it, by a package that stands in for Open3D in a process of its own."""
    (tmp_path / "open3d.py").write_text(
        'raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")'
    )
    program = (
        "from tasks.errors import MeshUnavailable\nfrom tasks.mesh.require import require\n"
        "try:\n    require()\nexcept MeshUnavailable as error:\n    print(error)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {[str(tmp_path), str(root)]!r}\n{program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "libGL.so.1" in done.stdout
    assert "apt-get install" in done.stdout
    assert "libgl1" in done.stdout


def test_importing_the_step_loads_nothing_heavy() -> None:
    root = Path(__file__).resolve().parents[2]
    program = "import sys, tasks.mesh.step; print([m for m in ('open3d', 'trimesh', 'dash') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
