"""The grammar of the commands that talk to a deployment, and what each calls. Nothing but HTTP and the group's state file."""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli.client import reprocess, webhooks

PROCESSING = ("queued", "processing", "finished", "failed")


def add(commands: Any, whole: Callable[[str], int]) -> None:
    """Adds the commands.

    Args:
        commands: what `add_subparsers` returned.
        whole: parses a whole number.
    """
    where = argparse.ArgumentParser(add_help=False)
    group = where.add_argument_group("deployment")
    group.add_argument("--url", help="default: $SPLATFLOW_URL, else the group of the data folder")
    group.add_argument("--key", help="default: $SPLATFLOW_KEY, which other users of this machine can't see")
    group.add_argument("--data", type=Path, metavar="DIR", help="data folder (default: ./splatflow-data)")
    group.add_argument("--debug", action="store_true", help="show the details of a failure")
    shown = argparse.ArgumentParser(add_help=False, parents=[where])
    shown.add_argument("--json", action="store_true", help="for programs")

    command = commands.add_parser("submit", parents=[shown, options(whole)], help="send a video or photos as a job")
    command.add_argument("source", type=Path, metavar="VIDEO", help="a video, or a folder or zip of photos")
    command.add_argument("--wait", action="store_true", help="follow it to its end")
    command.add_argument("--out", type=Path, metavar="DIR", help="with --wait: download the result into it")
    command.set_defaults(call=_submit)

    reprocess.add(commands, shown, whole)
    webhooks.add(commands, shown)

    command = commands.add_parser("jobs", parents=[shown], help="list jobs, newest first")
    command.add_argument("--status", choices=PROCESSING, help="only these")
    command.add_argument("--limit", type=whole, metavar="N", help="at most so many")
    command.set_defaults(call=_jobs)

    for name, call, text in (
        ("status", _status, "what becomes of a job; without ID: all that wait or are at work"),
        ("cancel", _cancel, "stop a job"),
        ("retry", _retry, "run a failed job again; finished steps are kept"),
        ("download", _download, "fetch the files of a finished job"),
        ("delete", _delete, "remove a job and all of its files"),
    ):
        command = commands.add_parser(name, parents=[where if name in ("download", "delete") else shown], help=text)
        command.add_argument("id", metavar="ID", help="of the job", nargs="?" if name == "status" else None)
        command.set_defaults(call=call)
        if name == "status":
            command.add_argument("--watch", action="store_true", help="follow it to its end, or all until none is left")
        if name == "download":
            command.add_argument("--out", type=Path, metavar="DIR", help="default: out/<title>; with --type: here")
            command.add_argument("--type", action="append", metavar="T", help="ply, spz, report, ...; default: all")


def options(whole: Callable[[str], int]) -> argparse.ArgumentParser:
    """What can be chosen about a job."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("job")
    group.add_argument("--title", help="default: the input's name")
    group.add_argument("--public", action="store_true", help="anybody may look at the scene")
    group.add_argument("--preset", choices=("quick", "standard", "full"), help="default: what suits the machine")
    group.add_argument("--steps", type=whole, metavar="N", help="training steps")
    group.add_argument("--max-gaussians", type=whole, metavar="N", help="most Gaussians in the scene")
    group.add_argument("--max-frames", type=whole, metavar="N", help="most frames kept from the video")
    group.add_argument("--train-side-px", type=whole, metavar="N", help="long side of the images that training sees")
    group.add_argument("--method", choices=("glomap", "colmap"), help="global (glomap, default) or incremental mapping")
    group.add_argument("--apriltag-size-mm", type=float, metavar="X", help="look for AprilTags, to know the scale")
    group.add_argument("--remove-background", action="store_true", help="keep the thing in the foreground only")
    group.add_argument("--mesh", action="store_true", help="also make a mesh (mesh.glb)")
    add_turntable(group, whole)
    group.add_argument("--camera-type", choices=("orbital", "drone"), help="how the viewer moves")
    group.add_argument("--priority", choices=("interactive", "batch"), help="batch: after jobs that people wait for")
    return parser


def add_turntable(group: Any, whole: Callable[[str], int]) -> None:
    """What can be chosen about a turntable, as of a job so of a local run; any of it asks for one."""
    group.add_argument("--turntable", action="store_true", default=None, help="also make a video (turntable.mp4)")
    group.add_argument("--turntable-seconds", type=float, metavar="X", help="its length, 1 to 60 (default: 6)")
    group.add_argument("--turntable-size", type=whole, metavar="PX", help="its long side, 160 to 1920 (default: 960)")
    group.add_argument(
        "--turntable-path", choices=("auto", "orbit", "sway"), help="all around, or to and fro (default: what suits)"
    )


def turntable(args: argparse.Namespace) -> bool | dict[str, Any] | None:
    """The submit's field; None where nothing asks for one."""
    given = {"seconds": args.turntable_seconds, "side_px": args.turntable_size, "path": args.turntable_path}
    return {name: value for name, value in given.items() if value is not None} or args.turntable


def fields(args: argparse.Namespace, *, local: bool) -> dict[str, Any]:
    """The submit's fields of the command's options: the preset's values, then what was given.

    Args:
        local: the deployment is this machine, whose device chooses the preset; another one gets "full".

    Raises:
        BadOption: a value out of range.
    """
    from cli import presets
    from cli.names import default_out
    from tasks.process import device

    names = ("steps", "max_gaussians", "max_frames", "train_side_px", "method")
    given = {name: getattr(args, name) for name in names}
    where = device.resolve("auto") if local else "cuda"
    chosen = presets.resolve(preset=args.preset, device=where, overrides=given)
    return {
        "title": args.title or default_out(args.source).name[:255],
        "public": args.public,
        "reconstruction_method": chosen.method,
        "training_num_steps": chosen.steps,
        "training_max_num_gaussians": chosen.max_gaussians,
        "max_frames": chosen.max_frames,
        "train_side_px": chosen.train_side_px,
        "apriltag_size_mm": args.apriltag_size_mm,
        "remove_background": args.remove_background,
        "mesh": args.mesh or None,  # ours alone: other deployments of the API need not see it
        "turntable": turntable(args),  # so is this
        "camera_type": args.camera_type,
        "priority": args.priority,
    }


@contextmanager
def opened(args: argparse.Namespace) -> Iterator[Any]:
    """The API of the command's deployment, and whether it is on this machine."""
    from urllib.parse import urlsplit

    from cli.client.deployment import find
    from cli.client.http import Api

    found = find(url=args.url, key=args.key, data=args.data, environment=os.environ)
    local = found.local or urlsplit(found.url).hostname in ("127.0.0.1", "localhost", "::1")
    with Api(found.url, found.key, say=lambda line: print(line, file=sys.stderr, flush=True)) as api:
        yield api, local


@contextmanager
def _display(args: argparse.Namespace) -> Iterator[Any]:
    """Progress; on standard error where standard output is for programs."""
    from rich.console import Console

    from cli.display import shown

    with shown(Console(stderr=getattr(args, "json", False))) as display:
        yield display


def _submit(args: argparse.Namespace) -> None:
    from cli.client import jobs, results

    if args.out is not None and not args.wait:
        from tasks.errors import BadOption

        raise BadOption("--out needs --wait; `splatflow download ID --out DIR` fetches a result later.")
    with opened(args) as (api, local):
        with _display(args) as display:
            job = jobs.submit(api, args.source, fields(args, local=local), display)
            if args.wait:
                display.say(f"job {job['job_id']}")
                try:
                    job = jobs.follow(api, job["job_id"], display)
                except KeyboardInterrupt:
                    display.say(f"The job goes on; `splatflow status {job['job_id']} --watch` follows it.")
                    raise
                if args.out is not None:
                    display.begin("download")
                    results.fetch_result(api, job, args.out, display)
                    display.end(f"into {args.out}")
        _print_job(job, args)
    if args.out is not None and not args.json:
        show_summary(args.out)


def _jobs(args: argparse.Namespace) -> None:
    query = {"status": args.status, "limit": args.limit}
    with opened(args) as (api, _):
        found = api.get("jobs/", **{name: value for name, value in query.items() if value is not None})
    if args.json:
        print(json.dumps(found))
        return
    for job in found:
        print(f"{job['job_id']}  {job['title']}")
    if not found:
        print("There are no jobs.")


def _status(args: argparse.Namespace) -> None:
    from cli.client import jobs
    from cli.client.board import printable

    if args.id is None:
        _board(args)
        return
    with opened(args) as (api, _):
        if args.watch:
            with _display(args) as display:
                job = api.get(f"jobs/{_id(args.id)}/")
                display.say(f"{printable(job['title'])}  {job['job_id']}")
                job = jobs.follow(api, _id(args.id), display)
        else:
            job = api.get(f"jobs/{_id(args.id)}/")
    _print_job(job, args)


def _board(args: argparse.Namespace) -> None:
    from rich.console import Console

    from cli.client import board

    console = Console(stderr=args.json)
    with opened(args) as (api, _):
        if args.watch:
            board.watch(lambda: board.open_jobs(api), console)
        found = board.open_jobs(api)
        if not args.watch and not args.json:
            board.show(found, console)
    if args.json:
        print(json.dumps(found))


def _cancel(args: argparse.Namespace) -> None:
    with opened(args) as (api, _):
        _print_job(api.send("POST", f"jobs/{_id(args.id)}/cancel/"), args)


def _retry(args: argparse.Namespace) -> None:
    with opened(args) as (api, _):
        _print_job(api.send("POST", f"jobs/{_id(args.id)}/retry/"), args)


def _delete(args: argparse.Namespace) -> None:
    with opened(args) as (api, _):
        api.send("DELETE", f"jobs/{_id(args.id)}/")
    print(f"deleted {args.id}")


def _download(args: argparse.Namespace) -> None:
    from cli.client import jobs, results

    with opened(args) as (api, _):
        job = api.get(f"jobs/{_id(args.id)}/")
        if job["status"] == "Failed":
            raise jobs.ended(job)
        with _display(args) as display:
            display.begin("download")
            if args.type:
                written = results.fetch_files(api, job, args.type, args.out or Path(), display)
            else:
                out = args.out or Path("out") / folder_name(job["title"], args.id)
                results.fetch_result(api, job, out, display)
                written = sorted(out.iterdir())
            display.end("done")
    for path in written:
        print(path)


def folder_name(title: str, otherwise: str) -> str:
    """A folder's name from a title that anybody may have written."""
    name = re.sub(r"[^\w .()+-]+", "_", title).strip(" .")[:80]
    return name or otherwise


def show_summary(out: Path) -> None:
    """The figures of a result's report, as after a local run."""
    from rich.console import Console

    from cli import summary

    if (out / "report.json").exists():
        summary.show(Console(), out)


def _print_job(job: dict[str, Any], args: argparse.Namespace) -> None:
    from cli.client import jobs

    if args.json:
        print(json.dumps(job))
        return
    for line in jobs.lines(job):
        print(line)


def _id(text: str) -> str:
    """The id, fit for a path; what is none is the API's to refuse."""
    from urllib.parse import quote

    return quote(text, safe="")
