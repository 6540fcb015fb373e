"""`splatflow webhooks`: where a deployment tells of jobs' ends."""

import argparse
import json
from typing import Any

EVENTS = ("job.finished", "job.failed")


def add(commands: Any, shown: argparse.ArgumentParser) -> None:
    """Adds the commands.

    Args:
        commands: what `add_subparsers` returned.
        shown: the parent of commands that print an answer.
    """
    top = commands.add_parser("webhooks", help="be told when jobs end")
    actions = top.add_subparsers(title="actions", metavar="ACTION", required=True)
    action = actions.add_parser("list", parents=[shown], help="all of them")
    action.set_defaults(call=_list)
    action = actions.add_parser("add", parents=[shown], help="make one; its secret is printed this once")
    action.add_argument("target", metavar="HOOK_URL", help="https://..., where jobs' ends are posted to")
    action.add_argument("--event", action="append", choices=EVENTS, help="only this; may be repeated (default: both)")
    action.set_defaults(call=_add)
    for name, call, text in (
        ("remove", _remove, "remove one with its log"),
        ("on", _on, "switch one on"),
        ("off", _off, "switch one off: nothing is sent, and what waits is given up"),
        ("rotate", _rotate, "make a new secret; it is printed this once"),
        ("test", _test, "send a ping"),
        ("deliveries", _deliveries, "what was told, newest first"),
        ("redeliver", _redeliver, "send something once more"),
    ):
        action = actions.add_parser(name, parents=[shown], help=text)
        action.add_argument("id", metavar="ID", help="of the webhook")
        if name == "redeliver":
            action.add_argument("delivery", metavar="DELIVERY", help="its id")
        if name == "deliveries":
            action.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (default: 20)")
        action.set_defaults(call=call)


def _list(args: argparse.Namespace) -> None:
    _show(args, _asked(args, "GET", "webhooks/"), hook_line, "There are no webhooks.")


def _add(args: argparse.Namespace) -> None:
    body = {"url": args.target, "events": args.event or list(EVENTS)}
    _show(args, _asked(args, "POST", "webhooks/", body), made_lines)


def _remove(args: argparse.Namespace) -> None:
    _asked(args, "DELETE", _path(args))
    print("{}" if args.json else f"removed {args.id}")


def _on(args: argparse.Namespace) -> None:
    _show(args, _asked(args, "PATCH", _path(args), {"active": True}), hook_line)


def _off(args: argparse.Namespace) -> None:
    _show(args, _asked(args, "PATCH", _path(args), {"active": False}), hook_line)


def _rotate(args: argparse.Namespace) -> None:
    _show(args, _asked(args, "POST", f"{_path(args)}rotate/"), made_lines)


def _test(args: argparse.Namespace) -> None:
    _show(args, _asked(args, "POST", f"{_path(args)}test/"), delivery_line)


def _deliveries(args: argparse.Namespace) -> None:
    found = _asked(args, "GET", f"{_path(args)}deliveries/", limit=args.limit)
    _show(args, found, delivery_line, "Nothing was told to it yet.")


def _redeliver(args: argparse.Namespace) -> None:
    path = f"{_path(args)}deliveries/{_quoted(args.delivery)}/redeliver/"
    _show(args, _asked(args, "POST", path), delivery_line)


def hook_line(hook: dict[str, Any]) -> str:
    """A webhook in a line."""
    return f"{hook['webhook_id']}  {'on ' if hook['active'] else 'off'}  {','.join(hook['events'])}  {hook['url']}"


def made_lines(hook: dict[str, Any]) -> str:
    """A webhook with its secret."""
    return (
        f"{hook_line(hook)}\nsecret  {hook['secret']}\nKeep it; it is not shown again. It verifies Splatflow-Signature."
    )


def delivery_line(row: dict[str, Any]) -> str:
    """An entry of the log in a line."""
    said = row["error"] or ("" if row["status_code"] is None else f"It answered {row['status_code']}.")
    again = f" Again at {row['next_try_at']}." if row["state"] == "waiting" and row["tries"] else ""
    about = row["job_id"] or "-"
    return f"{row['delivery_id']}  {row['event']:<12}  {about}  {row['state']:<9}  tries {row['tries']}  {said}{again}".rstrip()


def _asked(args: argparse.Namespace, method: str, path: str, body: Any = None, **query: Any) -> Any:
    from cli.client import commands

    with commands.opened(args) as (api, _):
        return api.get(path, **query) if method == "GET" else api.send(method, path, body)


def _path(args: argparse.Namespace) -> str:
    return f"webhooks/{_quoted(args.id)}/"


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _show(args: argparse.Namespace, answer: Any, line: Any, nothing: str = "") -> None:
    if args.json:
        print(json.dumps(answer))
        return
    rows = answer if isinstance(answer, list) else [answer]
    print("\n".join(map(line, rows)) or nothing)
