"""The scale step: posed views in, metres per unit out. It measures and changes nothing."""

import json
import os
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tasks.errors import OutputUnwritable
from tasks.gaussians.files import atomic_write, writing
from tasks.scale import wording
from tasks.scale.combine import WARP_FLOOR, Consensus, combine, quantile_for, tag_sigma
from tasks.scale.detect import Sighting, Sightings, find_tags
from tasks.scale.measure import Measurement, measure_tag, threshold_px
from tasks.scale.options import ScaleOptions, ScaleRecord, Status, TagRecord
from tasks.scale.views import load_views

Progress = Callable[[int, int, str], None]
TOTAL = 1000
DETECT_TO = 950


def scale(posed: Path, out: Path, options: ScaleOptions, progress: Progress) -> ScaleRecord:
    """Read the tags in `posed/images` and write `scale.json` to the new folder `out`: the record, with the options.

    That there is no tag, that tags were seen too badly or contradict one another is not an error but a status, with a warning
    that says what to do.

    Raises:
        BadPosedInput: `images/` and `colmap/` don't fit each other, or aren't undistorted.
        DiskFull, OutputUnwritable: nothing is left behind in either case.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputUnwritable(f"{out} exists already and isn't empty; choose another folder or remove it.")
    views, error_px = load_views(posed)
    threads = options.num_threads or len(os.sched_getaffinity(0))
    sightings = find_tags(
        views,
        options.family,
        num_threads=threads,
        progress=lambda done, total: progress(
            DETECT_TO * done // total, TOTAL, f"looking for tags in {done} of {total} views"
        ),
    )
    by_tag: dict[int, list[Sighting]] = defaultdict(list)
    for sighting in sightings.found:
        by_tag[sighting.tag_id].append(sighting)
    limit = threshold_px(views, error_px) if views else 0.0
    measurements = []
    for done, tag_id in enumerate(sorted(by_tag)):
        progress(DETECT_TO + (TOTAL - DETECT_TO) * done // len(by_tag), TOTAL, f"placing tag {tag_id}")
        measurements.append(measure_tag(tag_id, views, by_tag[tag_id], options, limit_px=limit))
    record = judge(measurements, sightings, options, views=len(views))
    progress(TOTAL, TOTAL, f"scale: {record.status}")
    _write(out, json.dumps({**asdict(record), "options": asdict(options)}, indent=2, allow_nan=False) + "\n")
    return record


def _write(out: Path, text: str) -> None:
    """`scale.json` in the folder, or no folder."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_write(out / "scale.json") as file:
            file.write(text.encode())
    except BaseException:
        with suppress(OSError):
            out.rmdir()
        raise


def judge(measurements: list[Measurement], sightings: Sightings, options: ScaleOptions, *, views: int) -> ScaleRecord:
    """The record of what was measured: one scale, or the reason why there is none."""
    placed = [m for m in measurements if m.square is not None]
    consensus = combine(placed) if placed else None
    status: Status = "scaled"
    warnings = []
    if not measurements:
        status = "no_tags"
        warnings.append(wording.no_tags(options))
    elif consensus is None:
        status = "too_few_views"
        warnings.append(wording.too_few_views(measurements))
    elif not consensus.chosen:
        status = "tags_disagree"
        warnings.append(wording.tags_disagree(placed, consensus))
    elif wording.percent(consensus.half_width) > options.max_relative_uncertainty:
        status = "too_few_views"
        warnings.append(wording.too_uncertain(wording.percent(consensus.half_width)))
    elif len(consensus.groups) > 1:
        warnings.append(wording.outliers(placed, consensus))
    chosen = [placed[i] for i in consensus.chosen] if consensus and status == "scaled" else []
    warnings += wording.about_tags(measurements, consensus, sightings)
    size_m = options.tag_size_mm / 1000
    factor = half = interval = residual = None
    if consensus and chosen:
        factor = size_m / float(np.exp(consensus.log_side))
        half = wording.percent(consensus.half_width)
        interval = (factor * float(np.exp(-consensus.half_width)), factor * float(np.exp(consensus.half_width)))
        squares = [(m.square.residual_px, len(m.used)) for m in chosen if m.square is not None]
        residual = float(np.sqrt(sum(r * r * n for r, n in squares) / sum(n for _, n in squares)))
    used = {m.tag_id for m in chosen}
    return ScaleRecord(
        status=status,
        metres_per_unit=factor,
        relative_uncertainty=half,
        interval_95=interval,
        tag_size_mm=options.tag_size_mm,
        family=options.family,
        tags=tuple(_tag_record(m, size_m, m.tag_id in used, _reason(m, placed, consensus)) for m in measurements),
        views=views,
        views_used=len({int(view) for m in chosen for view in m.used}),
        residual_px=residual,
        seconds_per_view=sightings.seconds_per_view,
        warnings=tuple(warnings),
    )


def _reason(m: Measurement, placed: list[Measurement], consensus: Consensus | None) -> str:
    """Why a tag has no say, or what there is to know about it."""
    if consensus is None or m.square is None or len(consensus.groups) == 1:
        return m.reason
    index = placed.index(m)
    if consensus.chosen and index in consensus.groups[0]:
        return m.reason
    other = "its size differs from that of most" if consensus.chosen else "the tags differ in size"
    return "; ".join(part for part in (other, m.reason) if part)


def _tag_record(m: Measurement, size_m: float, used: bool, reason: str) -> TagRecord:
    square = m.square
    if square is None:
        return TagRecord(
            id=m.tag_id, views=m.views, views_used=0, used=False, metres_per_unit=None, relative_uncertainty=None,
            side_units=None, residual_px=None, angle_deg=None, planarity=None, aspect=None, reason=reason,
        )  # fmt: skip
    return TagRecord(
        id=m.tag_id,
        views=m.views,
        views_used=len(m.used),
        used=used,
        metres_per_unit=size_m / square.side,
        relative_uncertainty=wording.percent(quantile_for(len(m.used)) * float(np.hypot(tag_sigma(m), WARP_FLOOR))),
        side_units=square.side,
        residual_px=square.residual_px,
        angle_deg=float(np.rad2deg(m.angle)),
        planarity=square.planarity,
        aspect=square.aspect,
        reason=reason,
    )
