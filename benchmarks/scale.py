"""How true the scene's size is: `python -m benchmarks.scale [given] [few] [sfm] [time] [photos] [--seeds 20]` prints Markdown tables.

Made captures (`tests/scale/made.py`): tags of 70-110 mm about a table, 640x480, blur, noise, uneven light, lens distortion, JPEG.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tasks.scale.options import ScaleOptions
from tasks.scale.step import scale
from tests.scale.made import Result, given_cameras, posed_capture, pupil_table, quiet, through_sfm
from tests.support.tagged import floor_tag, lens, wall_tag

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
HEAD = "| captures | scaled | error rms | error max | half width of the interval, median | covered |\n|---|---|---|---|---|---|"


def row(name: str, results: list[Result]) -> str:
    scaled = [r for r in results if r.record.status == "scaled"]
    errors = np.array([r.error for r in scaled])
    widths = [r.record.relative_uncertainty for r in scaled]
    return (
        f"| {name} | {len(scaled)} of {len(results)} | {100 * np.sqrt((errors**2).mean()):.3f} % | {100 * np.abs(errors).max():.3f} % | "
        f"{100 * float(np.median(np.array(widths, float))):.2f} % | {sum(r.covered for r in scaled)} of {len(scaled)} |"
    )


def collect(count: int, make: Callable[[Path, int], Result]) -> list[Result]:
    results = []
    for seed in range(count):
        with tempfile.TemporaryDirectory() as folder:
            results.append(make(Path(folder), seed))
    return results


def timing() -> None:
    """Processor seconds a view at 1280x720 with two tags in sight."""
    with tempfile.TemporaryDirectory() as folder:
        tags = [floor_tag(0, -0.2, 0.0, 0.09), wall_tag(1, 0.1, 0.15, 0.09)]
        posed = posed_capture(Path(folder) / "posed", tags, views=10, camera=lens(1280, 720))
        wall, cpu = time.perf_counter(), time.process_time()
        record = scale(posed, Path(folder) / "scale", ScaleOptions(tag_size_mm=90, num_threads=2), quiet)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        seen = sum(tag.views for tag in record.tags)
        print(
            f"1280x720, {record.views} views, {seen} sightings: {wall / 10:.3f} s a view ({cpu / 10:.3f} processor seconds)"
        )


def photos() -> None:
    """Each tag alone, on real photos whose tags were rearranged several times."""
    with tempfile.TemporaryDirectory() as folder:
        posed = pupil_table(DATA, Path(folder))
        options = ScaleOptions(tag_size_mm=65, family="tag36h11", num_threads=2)
        record = scale(posed, Path(folder) / "scale", options, quiet)
    whole = record.metres_per_unit or float("nan")
    print(
        f"\n{record.status}, half width {100 * (record.relative_uncertainty or 0):.1f} %, {record.residual_px:.2f} px"
    )
    print(
        "\n| tag | views | agree | used | against all used | half width | residual px | reason |\n|---|---|---|---|---|---|---|---|"
    )
    for tag in record.tags:
        if tag.metres_per_unit is None or tag.relative_uncertainty is None:
            figures = "| | | "
        else:
            off, wide = tag.metres_per_unit / whole - 1, tag.relative_uncertainty
            figures = f"| {100 * off:+.1f} % | {100 * wide:.1f} % | {tag.residual_px:.2f} "
        print(f"| {tag.id} | {tag.views} | {tag.views_used} | {'yes' if tag.used else 'no'} {figures}| {tag.reason} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["given", "few", "sfm", "time", "photos"])
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    if {"given", "few", "sfm"} & set(args.what):
        print(HEAD, flush=True)
    if "given" in args.what:
        for tags in (2, 1):
            results = collect(
                args.seeds, lambda folder, seed, tags=tags: given_cameras(folder, seed, tags=tags, views=10)
            )
            print(row(f"true cameras, 10 views, {tags} tag{'s' * (tags > 1)}", results), flush=True)
    if "few" in args.what:
        for views in (3, 5):
            results = collect(
                args.seeds,
                lambda folder, seed, views=views: given_cameras(folder, seed, tags=1, views=views, degrees=15 * views),
            )
            print(row(f"true cameras, {views} views, 1 tag", results), flush=True)
    if "sfm" in args.what:
        for tags in (2, 1):
            results = collect(min(args.seeds, 6), lambda folder, seed, tags=tags: through_sfm(folder, seed, tags=tags))
            print(row(f"through structure from motion, 20 views, {tags} tag{'s' * (tags > 1)}", results), flush=True)
    if "time" in args.what:
        timing()
    if "photos" in args.what:
        photos()


if __name__ == "__main__":
    main()
