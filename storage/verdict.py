"""Whether a new result takes the place of the old one, by a stated rule. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BETTER, ALWAYS, NEVER = "better", "always", "never"
RULES = (BETTER, ALWAYS, NEVER)
KEPT_FIGURES = (
    "psnr_db",
    "ssim",
    "subject_psnr_db",
    "frames_given",
    "frames_registered",
    "num_gaussians",
    "held_out_views",
    "evaluated_by",
    "posed_by",
    "pipeline",
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether the new result replaces the old one, and why, in a sentence for people."""

    replace: bool
    reason: str


def figures(quality: Mapping[str, Any] | None, *, masked: bool) -> dict[str, Any]:
    """What is kept of a result to compare it by.

    Args:
        quality: as a job's row has it.
        masked: the result is of the subject alone.
    """
    known = {name: quality[name] for name in KEPT_FIGURES if quality.get(name) is not None} if quality else {}
    return {**known, "masked": masked}


def judge(rule: str, epsilon_db: float, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Verdict:
    """Decides by the rule: "better" compares the PSNR of held-out views, "always" and "never" (only measure) ask nothing.

    Two results that were judged by different views are not compared: nobody can say which one is better, so the old one stays.

    Args:
        epsilon_db: by how much the new one must be better at least.
        before, after: `figures` of the old and the new result; before is None where there is no old one.
    """
    if rule == NEVER:
        return Verdict(replace=False, reason="Only measured, as the rule says.")
    if rule == ALWAYS:
        return Verdict(replace=True, reason="Replaced, as the rule says.")
    if before is None:
        return Verdict(replace=True, reason="There was no result before.")
    if (difference := not_comparable(before, after)) is not None:
        return Verdict(replace=False, reason=f"Not comparable, so the old result stays: {difference}.")
    name = "subject_psnr_db" if "subject_psnr_db" in before and "subject_psnr_db" in after else "psnr_db"
    old, new = before.get(name), after.get(name)
    if old is None or new is None:
        return Verdict(replace=False, reason="Not comparable, so the old result stays: one has no held-out PSNR.")
    better = new >= old + epsilon_db
    what = "the subject's held-out PSNR" if name == "subject_psnr_db" else "held-out PSNR"
    asked = f", and {epsilon_db:g} dB more were asked for" if epsilon_db and not better else ""
    return Verdict(
        replace=better, reason=f"The {what.removeprefix('the ')} was {old:.2f} dB and is {new:.2f} dB{asked}."
    )


def not_comparable(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Why two results were not judged by the same views; None when they were, as far as is known.

    Results of older versions don't name their views; the numbers of frames stand for them then.
    """
    if before.get("masked", False) != after.get("masked", False):
        return "one is of the subject alone, the other of the whole scene"
    for name, what in (("frames_registered", "registered frames"), ("held_out_views", "held-out views")):
        old, new = before.get(name), after.get(name)
        if old is not None and new is not None and old != new:
            return f"{old} {what} before, {new} now"
    old, new = before.get("evaluated_by"), after.get("evaluated_by")
    if old is not None and new is not None and old != new:
        return "other held-out views"
    return None
