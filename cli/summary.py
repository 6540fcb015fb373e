"""What a finished run says at its end, from its report."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from cli.display import duration

FILES = ("report.html", "scene.ply", "scene.spz", "mesh.glb", "turntable.mp4", "preview.jpg")


def show(console: Console, out: Path) -> None:
    """Prints the figures of `out/report.json`, its warnings, and where things are."""
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    console.print()
    for name, value in rows(report):
        console.print(f"{name:<14} {value}", markup=False, highlight=False, soft_wrap=True)
    for warning in report.get("warnings", []):
        console.print(f"warning: {warning}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    for name in FILES:
        if (out / name).exists():
            console.print(str(out / name), markup=False, highlight=False, soft_wrap=True)


def rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values of what matters in a report."""
    evaluation, training = report.get("evaluation") or {}, report.get("training") or {}
    found: list[tuple[str, str]] = []
    if sfm := report.get("sfm"):
        found.append(("registered", f"{sfm['frames_registered']} of {sfm['frames_given']} frames"))
        error = sfm["reprojection_error_px"]  # null where a given model doesn't say
        said = f"{error:.2f} px, " if error is not None else ""
        found.append(("reprojection", f"{said}{sfm['points']:,} points"))
    if evaluation.get("psnr_db") is not None:
        views = len(evaluation.get("held_out", ()))
        size = f"{evaluation['width']}x{evaluation['height']}"
        found.append(("held-out PSNR", f"{evaluation['psnr_db']:.2f} dB over {views} views at {size}"))
        found.append(("held-out SSIM", f"{evaluation['ssim']:.4f}"))
    if (masked := (evaluation.get("masked") or {}).get("psnr_db")) is not None:
        found.append(("subject PSNR", f"{masked:.2f} dB within the mask"))
    if (scale := report.get("scale")) and (report.get("scene") or {}).get("metres_per_unit"):
        found.append(
            (
                "true size",
                f"in metres, to {100 * scale['relative_uncertainty']:.2f} % by {scale['views_used']} views of tags",
            )
        )
    if mesh := report.get("mesh"):
        found.append(("mesh", f"{mesh['faces']:,} triangles, {mesh['vertices']:,} vertices"))
    if turned := report.get("turntable"):
        found.append(
            ("turntable", f"{turned['seconds']:.1f} s of {turned['path']}, {turned['width']}x{turned['height']}")
        )
    if training:
        found.append(("Gaussians", f"{training['num_gaussians']:,}"))
        found.append(
            ("training", f"{training['steps']:,} steps in {duration(training['seconds'])} on {training['device']}")
        )
    stages = {name: stage for name, stage in (report.get("stages") or {}).items() if stage}
    if stages:
        total = sum(stage["seconds"] for stage in stages.values())
        parts = ", ".join(f"{name} {duration(stage['seconds'])}" for name, stage in stages.items())
        found.append(("time", f"{duration(total)} ({parts})"))
    if report.get("peak_memory_bytes"):
        found.append(("peak memory", f"{report['peak_memory_bytes'] / 2**30:.2f} GiB"))
    return found
