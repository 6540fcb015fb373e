"""What is shipped, and the set-up script's words."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("api", "cli", "dashboards", "flows", "storage", "tasks")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built with the tools of this environment: nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_all_that_runs(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    sources = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file()
        and not {"__pycache__", "csrc", "web"} & set(path.parts)
        and path.suffix not in (".pyc", ".so")
    }
    web = ROOT / "dashboards" / "web"
    assert (web / "dist" / "scene.html").is_file(), "the pages are not built: make setup"
    sources |= {str(path.relative_to(ROOT)) for path in (web / "dist").rglob("*.*") if path.name != "stamp.txt"}
    assert sources <= names, sorted(sources - names)
    assert any(re.fullmatch(r"tasks/train/raster/_native\..*(so|pyd)", name) for name in names)
    entry_points = wheel.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    assert "splatflow = cli.main:main" in entry_points
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    for name in wheel.namelist():
        assert name.split("/")[0] in (*ROOMS, f"splatflow-{PROJECT['version']}.dist-info"), name
        assert "csrc" not in name.split("/"), name
        assert not name.startswith("dashboards/web/") or name.startswith("dashboards/web/dist/"), name
        assert not name.endswith((".cpp", ".h", ".inl", ".pyc", ".mp4", ".o", ".a")), name
    assert sum(info.file_size for info in wheel.infolist()) < 20_000_000


def test_the_wheel_may_not_be_uploaded_by_mistake(wheel: zipfile.ZipFile) -> None:
    metadata = wheel.read(next(n for n in wheel.namelist() if n.endswith("METADATA"))).decode()
    assert "Classifier: Private :: Do Not Upload" in metadata
    assert "License-Expression: Apache-2.0" in metadata


def test_every_requirement_is_locked_to_a_version_that_fits() -> None:
    lines = (ROOT / "requirements" / "lock.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    locked = {canonicalize_name(name): version for name, version in pins.items()}
    for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        assert name in locked, f"{name} is missing: run tools/lock"
        assert requirement.specifier.contains(locked[name]), f"{name} {locked[name]} does not fit: run tools/lock"


def test_no_requirement_is_under_a_licence_that_binds_us() -> None:
    from importlib import metadata

    for text in PROJECT["dependencies"]:
        about = metadata.metadata(Requirement(text).name)
        said = " ".join([about.get("License-Expression") or "", *(about.get_all("Classifier") or [])])
        assert not re.search(r"(?<!L)GPL|Affero|NonCommercial", said.replace("LGPL", "")), f"{text}: {said}"


# The set-up script, on a copy of what it reads, with a PATH of our choosing.


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A tree without an environment."""
    for name in ("tools", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / "clone" / name)
    for name in ("pyproject.toml", "CMakeLists.txt", "Makefile"):
        shutil.copy(ROOT / name, tmp_path / "clone" / name)
    return tmp_path / "clone"


def _path_with(folder: Path, *names: str) -> str:
    """A folder for PATH that has the basic tools and `names`, nothing else."""
    folder.mkdir()
    basic = [
        "bash",
        "env",
        "dirname",
        "find",
        "sort",
        "xargs",
        "cksum",
        "tr",
        "sed",
        "cat",
        "mkdir",
        "grep",
        "uname",
        "rm",
        "touch",
        "flock",
        "head",
    ]
    for name in [*basic, *names]:
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    return str(folder)


def _set_up(clone: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "tools/setup"], cwd=clone, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_set_up_says_that_no_python_fits(clone: Path, tmp_path: Path) -> None:
    bin_folder = Path(_path_with(tmp_path / "bin"))
    for name in ("python3", "python3.11", "python3.12"):
        (bin_folder / name).write_text("#!/bin/sh\nexit 1\n")
        (bin_folder / name).chmod(0o755)
    done = _set_up(clone, PATH=str(bin_folder), PYTHON="python3")
    assert done.returncode == 1
    assert "PYTHON=python3 does not run" in done.stderr


def test_set_up_says_which_versions_it_takes(clone: Path, tmp_path: Path) -> None:
    bin_folder = Path(_path_with(tmp_path / "bin"))
    # Answers the two questions that the script asks of a candidate, as an old Python would.
    (bin_folder / "python3").write_text(
        '#!/bin/sh\n[ "$1" = - ] && echo "it is Python 3.9; 3.11 or 3.12 is needed" || echo 3.9\n'
    )
    (bin_folder / "python3").chmod(0o755)
    done = _set_up(clone, PATH=str(bin_folder), PYTHON="python3")
    assert done.returncode == 1
    assert "no Python that fits was found" in done.stderr
    assert "it is Python 3.9" in done.stderr
    assert "PYTHON=" in done.stderr


def test_set_up_says_that_a_compiler_is_missing(clone: Path, tmp_path: Path) -> None:
    done = _set_up(clone, PATH=_path_with(tmp_path / "bin"), PYTHON=sys.executable, TORCH="cpu")
    assert done.returncode == 1
    assert "no C++ compiler was found" in done.stderr
    assert "apt-get install g++" in done.stderr
    assert not (clone / ".venv").exists()


def test_set_up_refuses_an_unknown_torch(clone: Path, tmp_path: Path) -> None:
    done = _set_up(clone, PATH=_path_with(tmp_path / "bin"), TORCH="rocm")
    assert done.returncode == 1
    assert "TORCH=cpu or TORCH=cuda" in done.stderr


def test_a_second_set_up_costs_nothing() -> None:
    if not (ROOT / ".venv" / "native.stamp").exists():
        pytest.skip("this environment was not made by make setup")
    done = subprocess.run(["make", "setup"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
