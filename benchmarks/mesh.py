"""How good a mesh is and what it costs: `python -m benchmarks.mesh [ball] [demo] [RESULT ...]` prints a Markdown table.

`ball`: a bumpy ball of splats that lie on the truth, so what is left is the error of depth, fusing and decimation. `demo`: the demo's
room, trained from its pictures and true cameras; its surfaces are known, so this is the error of everything. RESULT: the folder of a
finished `splatflow run`; no surface is known there, but how well the views agree is.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.mesh_picture import read_mesh
from cli.demo import surfaces
from tasks.mesh.clean import Mesh
from tasks.mesh.options import Agreement, MeshOptions, MeshRecord
from tasks.mesh.raycast import Raycaster
from tasks.mesh.step import mesh
from tasks.train.options import TrainOptions
from tasks.train.step import train
from tests.mesh import scenes
from tests.support.posed import write_posed

HEAD = (
    "| scene | voxel, % of size | vertices, faces | MB | mean error, % of size | 95th percentile, % | between views: median, 95 % "
    "| held-out views: median, 95 %, covered | seconds |\n|---|---|---|---|---|---|---|---|---|"
)
DEMO_STEPS, DEMO_VIEWS = 2_000, 48


def silent(done: int, total: int, message: str) -> None:
    """Progress that nobody looks at."""


def tessellated(places: Sequence[Callable], *, columns: int = 200, rows: int = 100) -> Mesh:
    """Surfaces given by formulas, together as one fine mesh."""
    parts = [scenes.truth(place, columns=columns, rows=rows) for place in places]
    starts = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    vertices = np.concatenate([part.vertices for part in parts])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)]).astype(np.int32)
    return Mesh(vertices=vertices, faces=faces, normals=np.zeros_like(vertices), colors=np.zeros_like(vertices))


def ball(folder: Path) -> tuple[MeshRecord, Mesh]:
    """The bumpy ball, a little ball and a far wall; the truth is the bumpy ball."""
    covers = (scenes.ball_cover(), scenes.small_ball_cover(), scenes.wall_cover())
    folders = scenes.write_folders(folder, scenes.gaussians(*covers), scenes.around())
    return mesh(folders.trained, folders.posed, folder / "mesh", MeshOptions(), silent), scenes.truth()


def demo(folder: Path) -> tuple[MeshRecord, Mesh]:
    """The demo's room from its pictures at 640x360; the truth is every surface in it."""
    posed = write_posed(folder / "posed", views=DEMO_VIEWS, width=640, height=360, points=8_000, coarseness=1.0)
    options = TrainOptions(steps=DEMO_STEPS, max_gaussians=60_000, train_side_px=640)
    train(posed, folder / "trained", options, silent)
    record = mesh(folder / "trained", posed, folder / "mesh", MeshOptions(), silent)
    return record, tessellated(surfaces())


def row(name: str, record: MeshRecord, errors: np.ndarray | None) -> str:
    """One line of the table."""

    def percent(value: float) -> str:
        return f"{100 * value:.2f}"

    def told(found: Agreement | None, *, covered: bool) -> str:
        if found is None:
            return ""
        text = f"{percent(found.median)} %, {percent(found.p95)} %"
        return f"{text}, {100 * found.coverage:.0f} %" if covered else text

    size = max(record.extent)
    shape = f"{record.vertices:,}, {record.faces:,}"
    mean, p95 = (
        ("", "") if errors is None else (percent(errors.mean() / size), percent(np.percentile(errors, 95) / size))
    )
    return (
        f"| {name} | {percent(record.voxel_size / size)} | {shape} | {record.bytes / 1e6:.1f} | {mean} | {p95} "
        f"| {told(record.between_views, covered=False)} | {told(record.held_out, covered=True)} | {record.seconds:.0f} |"
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["ball", "demo"])
    parser.add_argument("--keep", type=Path, help="folder to leave the meshes in")
    args = parser.parse_args()
    print(HEAD)
    for what in args.what:
        with tempfile.TemporaryDirectory() as temporary:
            folder = args.keep / Path(what).name if args.keep else Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            errors = None
            started = time.perf_counter()
            if what in ("ball", "demo"):
                record, truth = (ball if what == "ball" else demo)(folder)
                errors = Raycaster(truth).distances(read_mesh(folder / "mesh/mesh.glb").vertices)
            else:
                record = mesh(Path(what), Path(what), folder / "mesh", MeshOptions(), silent)
            print(row(Path(what).name, record, errors), flush=True)
            print(f"<!-- {what}: {time.perf_counter() - started:.0f} s in all -->", flush=True)


if __name__ == "__main__":
    main()
