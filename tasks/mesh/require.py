"""What a mesh needs beyond the rest of the project: Open3D with the system's libraries that it links, and trimesh."""

import importlib
from typing import Any

from tasks.errors import MeshUnavailable

PACKAGES = ("open3d", "trimesh")
DEBIAN = "libegl1 libgl1 libidn2-0 libudev1 libusb-1.0-0 libx11-6"  # what Open3D 0.20's library names as needed


def require() -> None:
    """Import what the step needs, about a second the first time; nothing is shown or opened.

    Raises MeshUnavailable, with what to install, when a package or a library of the system is missing.
    """
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except (ImportError, OSError) as error:
            if isinstance(error, ModuleNotFoundError) and error.name == package:
                raise MeshUnavailable(
                    f"A mesh needs {package}, which is not installed: pip install 'splatflow[mesh]', or run without a mesh."
                ) from error
            raise MeshUnavailable(
                f"A mesh needs {package}, which can't be loaded here ({error}). On Debian or Ubuntu: apt-get install {DEBIAN}; "
                "or run without a mesh."
            ) from error
    # it writes warnings to standard output, which belongs to the caller
    open3d().utility.set_verbosity_level(open3d().utility.VerbosityLevel.Error)


def open3d() -> Any:
    """Open3D, imported when it is needed; without types, since it may be absent where types are checked."""
    return importlib.import_module("open3d")


def trimesh() -> Any:
    """trimesh, as above."""
    return importlib.import_module("trimesh")
