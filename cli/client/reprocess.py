"""`splatflow reprocess` and `splatflow batches`: jobs that are made again, by any deployment."""

import argparse
import json
import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

OPTIONS: dict[str, type] = {
    "reconstruction_method": str,
    "training_max_num_gaussians": int,
    "training_num_steps": int,
    "apriltag_size_mm": float,
    "remove_background": bool,
    "mesh": bool,
    "turntable": bool,
    "max_frames": int,
    "train_side_px": int,
}
DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0}
WORDS = {"true": True, "yes": True, "false": False, "no": False}
PAGE = 1000
Whole = Callable[[str], int]


def add(commands: Any, shown: argparse.ArgumentParser, whole: Whole) -> None:
    """Adds the commands.

    Args:
        commands: what `add_subparsers` returned.
        shown: the parent of commands that print an answer.
        whole: parses a whole number.
    """
    command = commands.add_parser(
        "reprocess", parents=[shown], help="make finished jobs again with other options, and keep what is better"
    )
    group = command.add_argument_group("which jobs (all that are finished, if nothing is said)")
    group.add_argument("--status", choices=("finished", "failed"), default="finished", help="default: finished")
    group.add_argument("--older-than", metavar="AGE", help="submitted so long ago: 30d, 12h, 4w")
    group.add_argument("--title", metavar="PATTERN", help="of the whole title: * any text, ? any character")
    group.add_argument("--id", action="append", metavar="ID", help="this job; may be repeated")
    group.add_argument("--pipeline", action="append", metavar="V", help="made by this version (quality.pipeline)")
    group.add_argument("--not-pipeline", action="append", metavar="V", help="made by another version than this")
    group = command.add_argument_group("what and when")
    group.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help=f"an option that changes: {', '.join(OPTIONS)}"
    )
    group.add_argument("--at-once", type=whole, default=1, metavar="N", help="so many jobs at a time (default: 1)")
    group.add_argument("--priority", choices=("batch", "interactive"), default="batch", help="default: batch")
    group.add_argument("--hours", metavar="HH:MM-HH:MM", help="when jobs may begin, such as 22:00-06:00")
    group.add_argument("--time-zone", default="UTC", metavar="Z", help="of the hours (default: UTC)")
    group.add_argument(
        "--rule",
        choices=("better", "always", "never"),
        default="better",
        help="when the new result replaces the old one (default: better, by held-out PSNR; never: only measure)",
    )
    group.add_argument("--epsilon-db", type=float, default=0.0, metavar="X", help="better by so much at least")
    group.add_argument("--dry-run", action="store_true", help="only say what would be done")
    command.set_defaults(call=_reprocess)

    command = commands.add_parser("batches", parents=[shown], help="batches of reprocess, or what became of one")
    command.add_argument("id", nargs="?", metavar="ID", help="of a batch: its jobs, before and after")
    command.add_argument("--cancel", action="store_true", help="end it: what was replaced stays replaced")
    command.set_defaults(call=_batches)


def body(args: argparse.Namespace) -> dict[str, Any]:
    """The request of the command's options.

    Raises:
        BadOption: a value that can't be one.
    """
    jobs = {
        "status": args.status,
        "older_than_days": None if args.older_than is None else days(args.older_than),
        "title": args.title,
        "job_ids": args.id,
        "pipeline": args.pipeline,
        "not_pipeline": args.not_pipeline,
    }
    return {
        "jobs": {name: value for name, value in jobs.items() if value is not None},
        "set": dict(option(text) for text in args.set),
        "at_once": args.at_once,
        "priority": args.priority,
        "hours": args.hours,
        "time_zone": args.time_zone,
        "rule": args.rule,
        "epsilon_db": args.epsilon_db,
        "dry_run": args.dry_run,
    }


def days(text: str) -> float:
    """An age such as 30d, 12h or 4w, in days.

    Raises:
        BadOption
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([hdw])", text)
    if found is None:
        raise _bad(f"{text!r} is no age; write it like 30d, 12h or 4w.")
    return float(found[1]) * DAYS[found[2]]


def option(text: str) -> tuple[str, Any]:
    """Name and value of `--set NAME=VALUE`; an empty value is none.

    Raises:
        BadOption
    """
    name, equals, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or name not in OPTIONS:
        raise _bad(f"--set {text!r}: write NAME=VALUE, with one of {', '.join(OPTIONS)}.")
    value, kind = value.strip(), OPTIONS[name]
    if value in ("", "none"):
        return name, None
    try:
        if kind is bool:
            return name, WORDS[value.lower()]
        return name, kind(value.replace(",", "").replace("_", "") if kind is int else value)
    except (ValueError, KeyError):
        kinds = {bool: "true or false", int: "a whole number", float: "a number"}
        raise _bad(f"--set {name} must be {kinds[kind]}, not {value!r}.") from None


def _reprocess(args: argparse.Namespace) -> None:
    from cli.client.commands import opened

    wanted = body(args)
    with opened(args) as (api, _):
        headers = None if args.dry_run else {"Idempotency-Key": uuid4().hex}
        answer = api.send("POST", "batches/", wanted, headers=headers)
    if args.json:
        print(json.dumps(answer))
        return
    for line in plan_lines(answer) if args.dry_run else batch_lines(answer):
        print(line)


def _batches(args: argparse.Namespace) -> None:
    from urllib.parse import quote

    from cli.client.commands import opened

    if args.cancel and args.id is None:
        raise _bad("--cancel needs the ID of a batch.")
    with opened(args) as (api, _):
        if args.id is None:
            answer = api.get("batches/")
        else:
            path = f"batches/{quote(args.id, safe='')}/"
            if args.cancel:
                api.send("POST", f"{path}cancel/")
            answer = api.get(path, limit=PAGE)
    if args.json:
        print(json.dumps(answer))
        return
    if isinstance(answer, list):
        lines = [f"{batch['batch_id']}  {batch['state']:<9}  {counted(batch)}" for batch in answer]
        lines = lines or ["There are no batches."]
    else:
        lines = [*batch_lines(answer), *map(item_line, answer["items"])]
    for line in lines:
        print(line)


def counted(batch: dict[str, Any]) -> str:
    """How many of its jobs are in which state."""
    return ", ".join(f"{count} {state}" for state, count in batch["counts"].items() if count) or "no jobs"


def batch_lines(batch: dict[str, Any]) -> list[str]:
    """A batch for people."""
    changes = ", ".join(f"{name}={json.dumps(value)}" for name, value in batch["set"].items())
    when = f", {batch['hours']} {batch['time_zone']}" if batch["hours"] else ""
    return [
        f"batch      {batch['batch_id']}",
        f"state      {batch['state']}",
        f"jobs       {counted(batch)}",
        f"changes    {changes or 'none'}",
        f"rule       {batch['rule']}; {batch['at_once']} at once{when}",
    ]


def item_line(item: dict[str, Any]) -> str:
    """A job of a batch in a line."""
    figures = [(item[part] or {}).get("psnr_db") for part in ("before", "after")]
    old, new = ("-" if figure is None else f"{figure:.2f}" for figure in figures)
    reason = f"  {item['reason']}" if item["reason"] else ""
    return f"{item['job_id']}  {item['state']:<8}  {old:>5} -> {new:>5} dB  {item['title'] or '(deleted)'}{reason}"


def plan_lines(plan: dict[str, Any]) -> list[str]:
    """A dry run's answer for people."""
    from cli.display import duration

    lines = []
    for item in plan["items"]:
        what = f"skipped: {item['skipped']}"
        if item["skipped"] is None:
            time = "" if item["estimated_seconds"] is None else f", about {duration(item['estimated_seconds'])}"
            reused = f", uses {' '.join(item['steps_reused'])} again" if item["steps_reused"] else ""
            what = f"runs {' '.join(item['steps_run'])}{reused}{time}"
        lines.append(f"{item['job_id']}  {item['title']}: {what}")
    if plan["total"] > len(plan["items"]):
        lines.append(f"... and {plan['total'] - len(plan['items'])} more")
    took = plan["estimated_seconds"]
    lines.append(
        f"{plan['total']} jobs match, {plan['skipped']} would be skipped"
        + (f"; about {duration(took)} in all." if took is not None else ".")
    )
    return [*lines, "Nothing was done; the same command without --dry-run does it."]


def _bad(message: str) -> Exception:
    from tasks.errors import BadOption

    return BadOption(message)
