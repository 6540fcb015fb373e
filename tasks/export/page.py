"""`report.html`: the report for people, one file without scripts or requests, that can be mailed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader

from tasks.export import charts
from tasks.export.pictures import Comparison
from tasks.export.posed import PosedViews
from tasks.export.subjects import CutOut

STEP_NAMES = {
    "extract": "Choosing frames",
    "mask": "Removing the background",
    "sfm": "Finding the cameras",
    "scale": "Measuring tags",
    "train": "Training",
    "mesh": "Meshing",
    "turntable": "Turntable",
    "export": "Export",
}
SCALE_STATUS = {
    "scaled": "All files are in metres.",
    "no_tags": "No tag was found: the scene keeps its own unit.",
    "too_few_views": "The tags were seen from too few places: the scene keeps its own unit.",
    "tags_disagree": "The tags contradict each other.",
}
ATTEMPT_COLUMNS = {
    "rung": "attempt",
    "method": "mapper",
    "pairs": "pairs",
    "registered": "frames",
    "points": "points",
    "error_px": "error, px",
    "seconds": "time",
    "why": "why",
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A headline number with what it means."""

    name: str
    value: str
    unit: str
    note: str
    state: str = ""  # "good", "fair", "poor" or nothing


def render_page(
    report: Mapping[str, Any],
    views: PosedViews,
    pictures: Sequence[Comparison],
    preview_uri: str,
    cut_outs: Sequence[CutOut] = (),
) -> str:
    """The page of a report from `tasks.export.report.build_report`.

    Everything that came from outside is escaped; what is missing from the report is left out of the page.

    Args:
        report: as written to report.json.
        views: the posed views, for the view from above.
        pictures: of the held-out views.
        preview_uri: `data:` URI of the preview.
        cut_outs: of views whose background was removed.
    """
    environment = Environment(
        loader=PackageLoader("tasks.export", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(duration=duration, size=size, memory=memory, whole=whole, decimals=decimals)
    held_out = report["evaluation"].get("held_out") or []
    masked = report["evaluation"].get("masked")
    page = environment.get_template("report.html.j2").render(
        report=report,
        preview_uri=preview_uri,
        figures=figures(report),
        comparisons=rated((masked or report["evaluation"]).get("views") or [], pictures),
        masked=masked,
        timeline=timeline(report, set(held_out)),
        top_view=charts.top_view(
            views.centres, views.axes, [name in set(held_out) for name in views.names], views.points, views.colors
        ),
        attempt_columns=ATTEMPT_COLUMNS,
        curves=curves(report),
        steps=steps(report),
        total_seconds=total_seconds(report),
        cut_outs=cut_outs,
        scale_status=SCALE_STATUS,
        why_kept=counted(frame.get("why") for frame in _frames(report)),
    )
    # a name may hold a lone surrogate, from a file system that isn't UTF-8
    return page.encode("utf-8", "replace").decode("utf-8")


def figures(report: Mapping[str, Any]) -> list[Figure]:
    """The headline numbers that the report has."""
    evaluation, sfm, training = report["evaluation"], report["sfm"], report["training"]
    found = quality_figures(evaluation)
    if (scale := report.get("scale")) and report["scene"].get("metres_per_unit"):
        percent = 100 * (scale.get("relative_uncertainty") or 0.0)
        note = f"1 unit of the reconstruction, ± {percent:.2f} %"
        found.append(Figure(name="True size", value=f"{scale['metres_per_unit']:.4g}", unit="m", note=note))
    given, registered = sfm.get("frames_given"), sfm.get("frames_registered")
    if given:
        note = "poses were given" if sfm.get("method") == "given" else "frames with a camera pose"
        state = "" if sfm.get("method") == "given" else _state(registered / given, good=0.9, poor=0.6)
        found.append(Figure(name="Registered", value=f"{registered}", unit=f"of {given}", note=note, state=state))
    if (error := sfm.get("reprojection_error_px")) is not None:
        note = f"over {whole(sfm.get('points'))} points"
        state = _state(-error, good=-0.8, poor=-1.5)
        found.append(Figure(name="Reprojection", value=f"{error:.2f}", unit="px", note=note, state=state))
    note = f"{whole(training.get('steps'))} steps"
    found.append(Figure(name="Gaussians", value=whole(training.get("num_gaussians")), unit="", note=note))
    if total := total_seconds(report):
        found.append(Figure(name="Time", value=duration(total), unit="", note=f"on {training.get('device')}"))
    if peak := report.get("peak_memory_bytes"):
        value, unit = memory(peak).split()
        found.append(Figure(name="Peak memory", value=value, unit=unit, note="largest of all steps"))
    if spz := report["files"].get("scene.spz"):
        value, unit = size(spz["bytes"]).split()
        note = f"scene.spz; scene.ply is {size(report['files']['scene.ply']['bytes'])}"
        found.append(Figure(name="To download", value=value, unit=unit, note=note))
    return found


def quality_figures(evaluation: Mapping[str, Any]) -> list[Figure]:
    """PSNR and SSIM; of a subject alone its own PSNR goes first, and the whole frame's is no verdict."""
    found = []
    views = len(evaluation.get("held_out") or ())
    place = f"{views} unseen photos at {evaluation.get('width')}×{evaluation.get('height')}"
    masked = (evaluation.get("masked") or {}).get("psnr_db")
    if masked is not None:
        state = _state(masked, good=27.0, poor=22.0)
        found.append(Figure(name="PSNR of the subject", value=f"{masked:.2f}", unit="dB", note=place, state=state))
    if (psnr := evaluation.get("psnr_db")) is not None:
        state = _state(psnr, good=27.0, poor=22.0) if masked is None else ""
        note = place if masked is None else "with the background that was left out"
        name = "PSNR" if masked is None else "PSNR of the frame"
        found.append(Figure(name=name, value=f"{psnr:.2f}", unit="dB", note=note, state=state))
    if masked is None and (ssim := evaluation.get("ssim")) is not None:
        state = _state(ssim, good=0.85, poor=0.65)
        found.append(Figure(name="SSIM", value=f"{ssim:.3f}", unit="", note="1 is identical", state=state))
    return found


def rated(scores: Sequence[Mapping[str, Any]], pictures: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Pictures with their scores, by name; the best and the worst are marked when there are enough."""
    by_name = {score.get("name"): score for score in scores}
    known = [score["psnr_db"] for score in scores if score.get("psnr_db") is not None]
    best, worst = (max(known), min(known)) if len(known) >= 3 else (None, None)
    rows = []
    for picture in pictures:
        score = by_name.get(picture.name, {})
        psnr = score.get("psnr_db")
        mark = "" if psnr is None else "best" if psnr == best else "worst" if psnr == worst else ""
        rows.append({"picture": picture, "psnr_db": psnr, "ssim": score.get("ssim"), "mark": mark})
    return rows


def timeline(report: Mapping[str, Any], held_out: set[str]) -> Any:
    """The strip of kept frames, or None when the run began with posed images."""
    frames = _frames(report)
    if not frames:
        return None
    missing = set(report["sfm"].get("not_registered") or ())
    times = [frame.get("time_s") for frame in frames]
    last = max((t for t in times if t is not None), default=0.0)
    kept = []
    for number, (frame, time_s) in enumerate(zip(frames, times, strict=True)):
        name, blur = str(frame.get("name")), frame.get("blur")
        at = time_s / last if time_s is not None and last > 0 else number / max(1, len(frames) - 1)
        told = [name, f"{time_s:.2f} s" if time_s is not None else "", f"blur {blur:.2f}" if blur is not None else ""]
        told += [str(frame.get("why") or ""), "no pose found" if name in missing else ""]
        kept.append(
            charts.Kept(
                at=min(max(at, 0.0), 1.0),
                blur=blur,
                motion=frame.get("motion_since_kept"),
                kind="missing" if name in missing else "held" if name in held_out else "kept",
                title=", ".join(part for part in told if part),
            )
        )
    return charts.timeline(kept)


def curves(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Drawings of the training history, those that there is data for."""
    history = report["training"].get("history") or []
    wanted = (
        ("psnr_db", "PSNR of held-out views", "dB", False),
        ("loss", "Loss", "0 is identical", True),
        ("num_gaussians", "Gaussians", "count", False),
    )
    drawn = []
    for key, name, unit, logarithmic in wanted:
        points = [
            (row["step"], row[key]) for row in history if row.get("step") is not None and row.get(key) is not None
        ]
        svg = charts.curve(points, unit=unit, label=name, logarithmic=logarithmic)
        if svg is not None:
            drawn.append({"name": name, "unit": unit, "svg": svg})
    return drawn


def steps(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Time and memory of each step that was run, with its share of the largest."""
    run = {name: stage for name, stage in report["stages"].items() if stage}
    longest = max((stage.get("seconds") or 0 for stage in run.values()), default=0) or 1
    hungriest = max((stage.get("peak_memory_bytes") or 0 for stage in run.values()), default=0) or 1
    return [
        {
            "name": STEP_NAMES.get(name, name),
            "seconds": stage.get("seconds"),
            "bytes": stage.get("peak_memory_bytes"),
            "reused": bool(stage.get("reused")),
            "seconds_percent": 100 * (stage.get("seconds") or 0) / longest,
            "bytes_percent": 100 * (stage.get("peak_memory_bytes") or 0) / hungriest,
        }
        for name, stage in run.items()
    ]


def total_seconds(report: Mapping[str, Any]) -> float:
    """Of all steps."""
    return sum((stage or {}).get("seconds") or 0 for stage in report["stages"].values())


def counted(values: Any) -> list[tuple[str, int]]:
    """Each value with how often it occurs, the most frequent first."""
    counts: dict[str, int] = {}
    for value in values:
        if value:
            counts[str(value)] = counts.get(str(value), 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])


def duration(seconds: Any) -> str:
    """0.4 s, 12 s, 3 min 05 s, 2 h 10 min."""
    if not isinstance(seconds, int | float):
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"


def size(count: Any) -> str:
    """812 B, 4.7 MB."""
    if not isinstance(count, int | float):
        return "–"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} B"


def memory(count: Any) -> str:
    """271 MiB, 1.06 GiB."""
    if not isinstance(count, int | float):
        return "–"
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def whole(value: Any) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,.0f}".replace(",", "\u202f") if isinstance(value, int | float) else "–"


def decimals(value: Any, places: int) -> str:
    """A number with so many decimals."""
    return f"{value:.{places}f}" if isinstance(value, int | float) else "–"


def _frames(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [frame for frame in (report.get("extract") or {}).get("frames") or [] if isinstance(frame, Mapping)]


def _state(value: float, *, good: float, poor: float) -> str:
    return "good" if value >= good else "poor" if value < poor else "fair"
