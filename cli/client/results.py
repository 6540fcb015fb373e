"""The files of a finished job, as they lie in a result folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli.client.archives import unzip
from cli.client.errors import Refused
from cli.client.http import Api
from cli.client.transfer import Advance, download
from cli.display import Display
from cli.workspace import opened

# Download type -> file. `preview` has a route of its own; `colmap` is unpacked into its folders.
FILES = {
    "ply": "scene.ply",
    "spz": "scene.spz",
    "preview": "preview.jpg",
    "camera": "camera.json",
    "report": "report.json",
    "report_html": "report.html",
    "colmap": "colmap.zip",
    "glb": "mesh.glb",
    "mp4": "turntable.mp4",
    "poster": "poster.jpg",
    "views": "views.zip",
}
MODEL_FOLDERS = ("images", "masks", "colmap")
BASIC = ("ply", "spz")  # what every deployment has
NOT_THERE = (400, 404)


def fetch_result(api: Api, job: dict[str, Any], out: Path, display: Display) -> None:
    """Makes the result folder of a job, whole or not at all: the files that a local run leaves.

    Args:
        job: its detail, finished.
        out: an earlier result in it is replaced when all is there.
        display: shows the progress.

    Raises:
        OutputUnwritable: `out` holds other files, or can't be written.
        DiskFull, Refused, Unreachable, Damaged: nothing of it is left.
    """
    with opened(out) as workspace:
        workspace.discard_part("download", "result")
        part = workspace.part("download", "result")
        part.mkdir()
        kinds = [kind for kind in FILES if kind in (job.get("files") or BASIC) or kind == "preview"]
        advance = _whole(display, job, kinds)
        for kind in kinds:
            try:
                _fetch(api, job, kind, part, advance)
            except Refused as error:
                if kind != "preview" or error.status not in NOT_THERE:
                    raise
        archive = part / FILES["colmap"]
        if archive.exists():
            unzip(archive, part, folders=MODEL_FOLDERS)
            archive.unlink()
        workspace.publish(part)
        workspace.clean()


def fetch_files(api: Api, job: dict[str, Any], kinds: list[str], folder: Path, display: Display) -> list[Path]:
    """Fetches some files of a job into a folder, each whole or not at all; returns where they are.

    Raises:
        Refused, Unreachable, Damaged, DiskFull, OutputUnwritable
    """
    from tasks.process.outputs import output_errors

    with output_errors(folder.absolute()):
        folder.mkdir(parents=True, exist_ok=True)
    advance = _whole(display, job, kinds)
    return [_fetch(api, job, kind, folder, advance) for kind in kinds]


def _fetch(api: Api, job: dict[str, Any], kind: str, folder: Path, advance: Callable[[str], Advance]) -> Path:
    known = (job.get("files") or {}).get(kind) or {}
    route = "preview/" if kind == "preview" else f"download/{kind}/"
    target = folder / FILES.get(kind, f"scene.{kind}")
    download(api, f"jobs/{job['job_id']}/{route}", target, advance(target.name), sha256=known.get("sha256"))
    return target


def _whole(display: Display, job: dict[str, Any], kinds: list[str]) -> Callable[[str], Advance]:
    """Progress over all files: a bar from the sizes that the deployment names."""
    sizes = {FILES.get(kind, kind): ((job.get("files") or {}).get(kind) or {}).get("bytes", 0) for kind in kinds}
    done: dict[str, int] = {}

    def of(name: str) -> Advance:
        def advance(received: int, total: int) -> None:
            done[name] = received
            sizes[name] = max(sizes.get(name) or 0, total, received)
            display.advance(sum(done.values()), sum(sizes.values()), name)

        return advance

    return of
