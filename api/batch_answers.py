"""Batches' rows as clients see them. Pure."""

from collections.abc import Sequence
from typing import Any

from api import batch_plan, present
from api.batch_plan import Planned
from storage.tables import Batch, BatchItem


def batch(row: Batch, counts: dict[str, int]) -> dict[str, Any]:
    """A batch in JSON's types; what was asked for, and how far it is."""
    return {
        "batch_id": str(row.id),
        "state": row.state,
        "created_at": present.instant(row.created_at),
        "finished_at": present.instant(row.finished_at),
        "counts": counts,
        **row.spec,
    }


def item(row: BatchItem, title: str | None) -> dict[str, Any]:
    """One job of a batch."""
    return {
        "job_id": str(row.job_id),
        "title": title,
        "state": row.state,
        "before": row.before,
        "after": row.after,
        "reason": row.reason,
    }


def plan(planned: Sequence[Planned], at_once: int) -> dict[str, Any]:
    """The answer to a dry run."""
    return {
        "dry_run": True,
        "total": len(planned),
        "skipped": sum(one.skipped is not None for one in planned),
        "estimated_seconds": batch_plan.total_seconds(planned, at_once),
        "items": [_planned(one) for one in planned[: batch_plan.LOOKED_INTO]],
    }


def _planned(one: Planned) -> dict[str, Any]:
    return {
        "job_id": str(one.job.id),
        "title": one.job.title,
        "skipped": one.skipped,
        "steps_reused": list(one.reused),
        "steps_run": list(one.run),
        "estimated_seconds": None if one.seconds is None else round(one.seconds),
    }
