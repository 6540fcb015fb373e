"""Attempts, each with more than the one before, until enough frames register."""

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tasks.errors import TooLittleOverlap
from tasks.sfm.capture import Capture
from tasks.sfm.child import Progress, run_in_child
from tasks.sfm.options import SfmOptions

MATCH_JOB = "tasks.sfm.front:match_job"
MAP_JOB = "tasks.sfm.mapping:map_job"
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


def rungs(options: SfmOptions, capture: Capture) -> list[tuple[str, SfmOptions]]:
    """What is tried, in order: as asked; more pairs; more and finer features; the other mapper."""
    other = "colmap" if options.method == "glomap" else "glomap"
    more_pairs = replace(
        options, overlap=2 * options.overlap, retrieval=max(10, 2 * options.retrieval), exhaustive_up_to=150
    )
    more_features = replace(
        more_pairs,
        max_features=2 * options.max_features,
        feature_side_px=max(
            options.feature_side_px, min(2 * options.feature_side_px, max(max(s) for s in capture.sizes))
        ),
        match_ratio=min(0.85, options.match_ratio + 0.05),
    )
    return [
        ("as asked", options),
        ("the other mapper", replace(options, method=other)),
        ("more pairs", more_pairs),
        ("more and finer features", replace(more_features, method=other)),
    ][: options.max_attempts]


def climb(
    extracted: Path, capture: Capture, work: Path, options: SfmOptions, *, num_threads: int, progress: Progress
) -> LadderResult:
    """Try rung after rung until `min_registered_fraction` is reached; keep the model with the most frames.

    Raises:
        TooLittleOverlap: no rung gave a model.
    """
    attempts: list[dict[str, Any]] = []
    best: LadderResult | None = None
    why = "first attempt"
    plan = rungs(options, capture)
    for number, (rung, chosen) in enumerate(plan):
        started = time.perf_counter()
        low, high = 1000 * number // len(plan), 1000 * (number + 1) // len(plan)
        if number == 0:
            high = 1000

        def share(
            done: int, total: int, message: str, start: float, width: float, low: int = low, high: int = high
        ) -> None:
            fraction = start + width * done / max(total, 1)
            progress(int(low + (high - low) * fraction), 1000, message)

        key = f"{chosen.feature_side_px}-{chosen.max_features}-{chosen.match_ratio:g}"
        common = {"seed": chosen.seed, "num_threads": num_threads}
        matched = run_in_child(
            MATCH_JOB,
            {
                **common,
                "extracted": str(extracted.resolve()),
                "database": str(work.resolve() / f"{key}.db"),
                **{
                    name: getattr(chosen, name)
                    for name in (
                        "max_features", "feature_side_px", "overlap", "retrieval", "exhaustive_up_to", "match_ratio", "verify_error_px",
                    )
                },
            },
            lambda done, total, message, s=share: s(done, total, message, 0.0, MATCH_SHARE),
            num_threads=num_threads,
        )  # fmt: skip
        folder = work.resolve() / f"model-{number}"
        mapped = run_in_child(
            MAP_JOB,
            {
                **common,
                "database": str(work.resolve() / f"{key}.db"),
                "images": str(capture.folder.resolve()),
                "out": str(folder),
                "method": chosen.method,
                "filter_error_px": chosen.filter_error_px,
            },
            lambda done, total, message, s=share: s(done, total, message, MATCH_SHARE, 1 - MATCH_SHARE),
            num_threads=num_threads,
        )
        models = mapped["models"]
        registered = len(models[0]["registered"]) if models else 0
        attempts.append(
            {
                "rung": rung,
                "method": chosen.method,
                "pairs": matched["pairs"],
                "registered": registered,
                "points": models[0]["points"] if models else 0,
                "error_px": models[0]["error_px"] if models else None,
                "models": [len(m["registered"]) for m in models],
                "focal_votes": matched["focal_votes"],
                "lens": mapped["lens"],
                "seconds": time.perf_counter() - started,
                "stage_seconds": {**matched["seconds"], **mapped["seconds"]},
                "why": why,
            }
        )
        if models and (best is None or registered > len(best.models[0]["registered"])):
            if best is not None:
                shutil.rmtree(best.model)
            best = LadderResult(model=folder, method=chosen.method, attempts=attempts, models=models)
        if registered >= options.min_registered_fraction * len(capture):
            break
        why = f"only {registered} of {len(capture)} frames were registered before"
    if best is None:
        raise TooLittleOverlap(
            "No two views could be connected reliably; film more slowly, with good light and texture, so that each view "
            "shows most of what the one before it showed."
        )
    return best
