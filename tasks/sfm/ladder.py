"""Attempts, each with more than the one before, until enough frames register."""

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tasks.sfm import checks
from tasks.sfm.capture import Capture
from tasks.sfm.child import Progress, run_in_child
from tasks.sfm.options import SfmOptions

MATCH_JOB = "tasks.sfm.front:match_job"
MAP_JOB = "tasks.sfm.mapping:map_job"
FEW_PHOTOS = 40
MATCH_SHARE = 0.6  # of an attempt's time


@dataclass(frozen=True, kw_only=True)
class LadderResult:
    """Attributes:
    model: folder of the best model.
    method: the mapper that made it.
    attempts: one dict per rung, in order.
    models: summaries of all models of the best attempt, largest first.
    """

    model: Path
    method: str
    attempts: list[dict[str, Any]]
    models: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an attempt reads and writes (absolute paths), and on how many threads.

    With `masks`, only features on the subject count.
    """

    extracted: Path
    images: Path
    masks: Path | None
    work: Path
    focals_px: tuple[float | None, ...]
    num_threads: int


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One attempt: its name, its options, and whether it begins with the lens that the best attempt before found."""

    name: str
    options: SfmOptions
    with_lens: bool = False


def rungs(options: SfmOptions, capture: Capture) -> list[Rung]:
    """What is tried, in order. Denser frames are not in our hands: a warning asks for them."""
    long_side = max(max(size) for size in capture.sizes)
    if not capture.ordered and len(capture) <= FEW_PHOTOS:  # far apart, and time is no matter
        options = replace(
            options,
            max_features=2 * options.max_features,
            feature_side_px=max(options.feature_side_px, min(2 * options.feature_side_px, long_side)),
        )
    other = "colmap" if options.method == "glomap" else "glomap"
    more_pairs = replace(
        options, overlap=2 * options.overlap, retrieval=max(10, 2 * options.retrieval), exhaustive_up_to=150
    )
    more_features = replace(
        more_pairs,
        max_features=2 * options.max_features,
        feature_side_px=max(options.feature_side_px, min(2 * options.feature_side_px, long_side)),
        match_ratio=min(0.85, options.match_ratio + 0.05),
    )
    return [
        Rung(name="as asked", options=options),
        Rung(name="more pairs, with the lens found before", options=more_pairs, with_lens=True),
        Rung(name="the other mapper", options=replace(more_pairs, method=other), with_lens=True),
        Rung(name="more and finer features", options=more_features, with_lens=True),
    ][: options.max_attempts]


def attempt(
    rung: Rung, number: int, best: LadderResult | None, place: Place, progress: Progress
) -> tuple[dict[str, Any], list[dict[str, Any]], Path]:
    """Run one rung; returns its record, the summaries of its models (largest first), and the largest one's folder."""
    started = time.perf_counter()
    chosen = rung.options
    key = f"{chosen.feature_side_px}-{chosen.max_features}-{chosen.match_ratio:g}"
    common = {
        "seed": chosen.seed,
        "num_threads": place.num_threads,
        "database": str(place.work / f"{key}.db"),
        "verify_error_px": chosen.verify_error_px,
    }
    front = ("max_features", "feature_side_px", "overlap", "retrieval", "exhaustive_up_to", "match_ratio")
    matched = run_in_child(
        MATCH_JOB,
        {
            **common,
            "extracted": str(place.extracted),
            "masks": None if place.masks is None else str(place.masks),
            **{name: getattr(chosen, name) for name in front},
        },
        lambda done, total, message: progress(int(MATCH_SHARE * 1000 * done / total), 1000, message),
        num_threads=place.num_threads,
    )
    if number == 0:
        checks.require_motion(matched, frames=len(place.focals_px))
    folder = place.work / f"model-{number}"
    mapped = run_in_child(
        MAP_JOB,
        {
            **common,
            "images": str(place.images),
            "out": str(folder),
            "method": chosen.method,
            "filter_error_px": chosen.filter_error_px,
            "lenses": best.models[0]["cameras"] if best and rung.with_lens else {},
            "trust_focals": all(place.focals_px),
            "frames": len(place.focals_px),
            "try_focals": not matched["focal_known"],
        },
        lambda done, total, message: progress(
            int(1000 * (MATCH_SHARE + (1 - MATCH_SHARE) * done / total)), 1000, message
        ),
        num_threads=place.num_threads,
    )
    models = mapped["models"]
    record = {
        "rung": rung.name,
        "method": chosen.method,
        "pairs": matched["pairs"],
        "verified_pairs": matched["verified_pairs"],
        "turning": matched["turning"],
        "registered": len(models[0]["registered"]) if models else 0,
        "points": models[0]["points"] if models else 0,
        "error_px": models[0]["error_px"] if models else None,
        "models": [len(m["registered"]) for m in models],
        "focal_votes": matched["focal_votes"],
        "focals_tried": [{k: v for k, v in f.items() if k != "cameras"} for f in mapped["focals"]],
        "lenses_tried": mapped["lens"],
        "rescued": mapped["rescued"],
        "seconds": time.perf_counter() - started,
        "stage_seconds": {**matched["seconds"], **mapped["seconds"]},
    }
    return record, models, folder


def worth_more(model: dict[str, Any]) -> tuple[int, int]:
    """Sort key of models: frames first, then observations."""
    return len(model["registered"]), model["observations"]


def climb(
    extracted: Path,
    capture: Capture,
    work: Path,
    options: SfmOptions,
    *,
    num_threads: int,
    progress: Progress,
    masks: Path | None = None,
) -> LadderResult:
    """Try rung after rung until `min_registered_fraction` is reached; keep the model with the most frames.

    With the mask step's folder as `masks`, poses come from features on the subject alone.

    Raises:
        TooLittleOverlap: no rung gave a model.
    """
    place = Place(
        extracted=extracted.resolve(),
        images=capture.folder.resolve(),
        masks=None if masks is None else masks.resolve(),
        work=work.resolve(),
        focals_px=capture.focals_px,
        num_threads=num_threads,
    )
    attempts: list[dict[str, Any]] = []
    best: LadderResult | None = None
    why = "first attempt"
    plan = rungs(options, capture)
    for number, rung in enumerate(plan):
        # The first attempt mostly is the last, so it gets most of the bar.
        low, high = (0, 700) if number == 0 else (700 + 300 * (number - 1) // 3, 700 + 300 * number // 3)

        def share(done: int, total: int, message: str, low: int = low, high: int = high) -> None:
            progress(low + (high - low) * done // max(total, 1), 1000, message)

        record, models, folder = attempt(rung, number, best, place, share)
        attempts.append({**record, "why": why})
        if models and (best is None or worth_more(models[0]) > worth_more(best.models[0])):
            if best is not None:
                shutil.rmtree(best.model)
            best = LadderResult(model=folder, method=rung.options.method, attempts=attempts, models=models)
        registered = max((a["registered"] for a in attempts), default=0)
        if registered >= options.min_registered_fraction * len(capture):
            break
        why = f"no more than {registered} of {len(capture)} frames were registered before"
    if best is None:
        checks.refuse()
    return best
