"""Importing does no work, and the API's processes stay free of the steps and their libraries."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

LIGHT = """
import sys, importlib
for module in sys.argv[1:]:
    importlib.import_module(module)
steps = {f"tasks.{name}" for name in ("extract", "mask", "sfm", "scale", "train", "export")}
heavy = {"torch", "pycolmap", "av", "cv2", "scipy", "gsplat"}
print(sorted(m for m in sys.modules if m in heavy or ".".join(m.split(".")[:2]) in steps))
"""

QUIET = """
import importlib, logging, pkgutil, sys
seen = []
def hook(event, arguments):
    if event in ("socket.connect", "sqlite3.connect", "subprocess.Popen"):
        seen.append((event, str(arguments[-1])))
sys.addaudithook(hook)
import storage.settings
for room in sys.argv[1:]:
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, f"{room}."):
        if not module.name.endswith(".__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
ours = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in ("splatflow", *sys.argv[1:])]
seen += [("log handler", name) for name in ours if logging.getLogger(name).handlers]
if storage.settings.settings.cache_info().currsize:
    seen.append(("settings", "read"))
print(seen)
"""


def run(code: str, *arguments: str, folder: Path) -> str:
    # Settings that could not be used: whoever reads them on import fails.
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SPLATFLOW_API_PORT": "nonsense",
        "PREFECT_HOME": str(folder / "prefect"),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_the_api_imports_no_step_and_none_of_their_libraries(tmp_path: Path):
    assert run(LIGHT, "api.app", "api.main", "api.dispatcher", folder=tmp_path) == "[]"


def test_importing_opens_no_connection_reads_no_setting_and_writes_nothing(tmp_path: Path):
    assert run(QUIET, "api", "flows", "storage", "tasks", folder=tmp_path) == "[]"
    assert [path.name for path in tmp_path.iterdir() if path.name != "prefect"] == []
