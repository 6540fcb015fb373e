"""What a round of housekeeping tells: as JSON, as tables for Prefect's pages, and as text for the terminal.

No titles, no keys of objects but such as belong to nothing: whoever sees Prefect's pages may see these.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flows.clearing import Cleared
from storage.ledger import Ledger
from storage.tables import Action

SHOWN_ACTIONS = 100


def report(
    *,
    dry_run: bool,
    began_at: datetime,
    seconds: float,
    cleared: Sequence[Cleared],
    problems: dict[str, str],
    ledger: Ledger | None,
    actions: Sequence[Action],
) -> dict[str, Any]:
    """All of it as JSON.

    Args:
        problems: why a part was not done, by part.
        ledger: of the store after the round; None: it could not be read.
        actions: of the dispatcher, the newest first.
    """
    removed = [
        {"part": one.part, "class": kind.kind, "objects": kind.objects, "bytes": kind.bytes}
        for one in cleared
        for kind in one.removed
    ]
    return {
        "dry_run": dry_run,
        "began_at": _stamp(began_at),
        "seconds": round(seconds, 2),
        "bytes": sum(row["bytes"] for row in removed),
        "removed": removed,
        "problems": [{"part": part, "message": message} for part, message in problems.items()],
        "store": None if ledger is None else _store(ledger),
        "actions": [_action(one) for one in actions],
    }


def removed_table(found: dict[str, Any]) -> list[dict[str, Any]]:
    """What was removed, or would be, with what was not done."""
    verb = "would be removed" if found["dry_run"] else "removed"
    rows = [
        {"what": row["part"], "class": row["class"], "objects": row["objects"], "bytes": row["bytes"], "": verb}
        for row in found["removed"]
    ]
    rows += [
        {"what": row["part"], "class": "", "objects": "", "bytes": "", "": f"not done: {row['message']}"}
        for row in found["problems"]
    ]
    total = sum(row["objects"] for row in found["removed"])
    return [*rows, {"what": "all", "class": "", "objects": total, "bytes": found["bytes"], "": verb}]


def store_table(found: dict[str, Any]) -> list[dict[str, Any]]:
    """What the store has, against what rows say."""
    if found["store"] is None:
        return []
    rows = [
        {name: row[name] for name in ("class", "objects", "stored", "accounted", "difference")}
        for row in found["store"]["classes"]
    ]
    total = {name: found["store"][name] for name in ("objects", "stored", "accounted", "difference")}
    return [*rows, {"class": "all", **total}]


def action_table(found: dict[str, Any]) -> list[dict[str, Any]]:
    """What the dispatcher did."""
    names = {"at": "time", "job_id": "job", "attempt": "attempt", "action": "action", "reason": "reason"}
    return [
        {**{title: row[name] for name, title in names.items()}, "silent for (s)": row["silent_seconds"] or ""}
        for row in found["actions"]
    ]


def text(found: dict[str, Any]) -> str:
    """For the terminal."""
    parts = [("Housekeeping, dry run" if found["dry_run"] else "Housekeeping", removed_table(found))]
    parts.append(("Store against rows (bytes)", store_table(found)))
    parts.append(("What the dispatcher did in the last day", action_table(found)))
    lines = [line for title, rows in parts if rows for line in (title, *_columns(rows), "")]
    store = found["store"] or {}
    for name, told in (("strays", "No row names"), ("missing", "Missing"), ("wrong", "Of another size")):
        lines += [f"{told}: {key}" for key in store.get(name, [])]
    return "\n".join(lines).rstrip()


def _store(ledger: Ledger) -> dict[str, Any]:
    return {
        "balanced": ledger.balanced,
        "objects": sum(line.objects for line in ledger.lines),
        "stored": ledger.stored,
        "accounted": ledger.accounted,
        "difference": ledger.stored - ledger.accounted,
        "classes": [
            {
                "class": line.kind,
                "objects": line.objects,
                "stored": line.stored,
                "said": line.said,
                "held": line.held,
                "accounted": line.accounted,
                "difference": line.difference,
                "strays": line.stray_objects,
                "missing": line.missing_objects,
            }
            for line in ledger.lines
        ],
        "strays": ledger.strays,
        "missing": ledger.missing,
        "wrong": ledger.wrong,
    }


def _action(one: Action) -> dict[str, Any]:
    return {
        "at": _stamp(one.done_at),
        "job_id": str(one.job_id),
        "attempt": one.attempt,
        "run_id": None if one.run_id is None else str(one.run_id),
        "action": one.kind,
        "reason": one.reason,
        "silent_seconds": one.silent_seconds,
    }


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    names = list(rows[0])
    cells = [names, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    right = [all(not isinstance(row[name], str) or not row[name] for row in rows) for name in names]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    ]


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
