"""The grammar of `splatflow up`, `down`, `part`, `keys` and `accounts`, and what each calls."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli.client import commands as client_commands
from cli.client.commands import options

PARTS = ("migrate", "prefect", "deploy", "api", "dispatcher", "worker", "housekeeping", "run")


def add(commands: Any, whole: Callable[[str], int]) -> None:
    """Adds the commands.

    Args:
        commands: what `add_subparsers` returned.
        whole: parses a whole number.
    """
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument(
        "--data", type=Path, metavar="DIR", help="data folder (default: $SPLATFLOW_DATA or ./splatflow-data)"
    )
    data.add_argument("--debug", action="store_true", help="show the details of a failure")

    command = commands.add_parser("up", parents=[data], help="start the service on this machine")
    command.add_argument("--host", metavar="H", help="where the API listens (default: 127.0.0.1)")
    command.add_argument("--api-port", type=whole, metavar="N", help="of the API (default: 8000; 0: any free one)")
    command.add_argument("--prefect-port", type=whole, metavar="N", help="of Prefect (default: 4200; 0: any free one)")
    command.add_argument("--detach", action="store_true", help="return when it is ready; `splatflow down` stops it")
    command.add_argument("--json", action="store_true", help="print URLs and key for programs")
    command.set_defaults(call=_up)

    command = commands.add_parser("down", parents=[data], help="stop the service on this machine")
    command.set_defaults(call=_down)

    command = commands.add_parser("part", parents=[data], help="run one part of the service on a machine of its own")
    command.add_argument("name", choices=PARTS, metavar="NAME", help=", ".join(PARTS))
    command.add_argument("--check", action="store_true", help="ask the part that runs here, for health checks")
    command.add_argument(
        "--kubernetes",
        type=Path,
        metavar="FILE",
        help="with deploy: runs are jobs of a cluster, by this base job template",
    )
    command.set_defaults(call=_part)

    command = commands.add_parser(
        "reconstruct",
        parents=[data, options(whole)],
        help="video or photos to scene through the service, started if need be",
    )
    command.add_argument("source", type=Path, metavar="VIDEO", help="a video, or a folder or zip of photos")
    command.add_argument("--out", type=Path, metavar="DIR", help="result folder (default: out/<name of the input>)")
    command.set_defaults(call=_reconstruct)

    command = commands.add_parser("maintain", parents=[data], help="remove what nobody needs any more, now")
    command.add_argument("--dry-run", action="store_true", help="only tell what would be removed")
    command.add_argument(
        "--min-age", type=whole, metavar="SECONDS", help="objects that were written later stay (default: 3,600)"
    )
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(call=_maintain)

    command = commands.add_parser("keys", help="make, list and end API keys")
    keys = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    shown = argparse.ArgumentParser(add_help=False, parents=[data])
    shown.add_argument("--json", action="store_true", help="for programs")
    command = keys.add_parser("create", parents=[shown], help="make a key; its secret is shown once")
    command.add_argument("--name", required=True, metavar="N", help="of the key, for people")
    command.add_argument("--account", metavar="NAME", help="whose key; made when missing (default: the key's name)")
    command.add_argument(
        "--plan", choices=("enterprise", "free"), help="of the account (default for a new one: enterprise)"
    )
    command.add_argument("--scope", choices=("read", "write"), default="write", help="read: can't change anything")
    command.add_argument("--expires-in", type=whole, metavar="SECONDS", help="default: never expires")
    command.add_argument(
        "--limit", action="append", default=[], metavar="CLASS=RATE", help="such as read=5/minute; read, write, submit"
    )
    command.set_defaults(call=_keys_create)
    command = keys.add_parser("list", parents=[shown], help="all keys, without their secrets")
    command.set_defaults(call=_keys_list)
    command = keys.add_parser("revoke", parents=[shown], help="end a key at once")
    command.add_argument("id", metavar="ID", help="as in `keys list`")
    command.set_defaults(call=_keys_revoke)
    command = keys.add_parser("rotate", parents=[shown], help="a new secret for a key")
    command.add_argument("id", metavar="ID", help="as in `keys list`")
    command.set_defaults(call=_keys_rotate)

    command = commands.add_parser("accounts", help="list accounts and set their quotas")
    accounts = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    command = accounts.add_parser("list", parents=[shown], help="all accounts, with quotas and what they use")
    command.set_defaults(call=_accounts_list)
    command = accounts.add_parser("set", parents=[shown], help="set an account's quotas")
    command.add_argument("name", metavar="NAME", help="of the account, as in `accounts list`")
    command.add_argument(
        "--quota",
        action="append",
        required=True,
        metavar="NAME=NUMBER",
        help="running, queued, bytes or hours (of processing in a month); 0: no limit; default: as the settings say",
    )
    command.set_defaults(call=_accounts_set)


def progress_line(line: str) -> None:
    """Progress goes to standard error, so that what programs read on standard output stays clean."""
    print(line, file=sys.stderr, flush=True)


def _up(args: argparse.Namespace) -> None:
    from cli.service import up
    from cli.service.folder import data_folder

    folder = data_folder(args.data, os.environ)
    group = up.start(
        folder,
        host=args.host,
        api_port=args.api_port,
        prefect_port=args.prefect_port,
        detach=args.detach,
        say=progress_line,
    )
    up.show(group.state, group.key, as_json=args.json)
    if not args.detach:
        progress_line("Ctrl-C stops it.")
        up.follow(group, progress_line)


def _down(args: argparse.Namespace) -> None:
    from cli.service import up
    from cli.service.errors import GroupNotRunning
    from cli.service.folder import data_folder

    folder = data_folder(args.data, os.environ)
    if not up.stop(folder, progress_line):
        raise GroupNotRunning(f"No group is at work in {folder.path}; name its data folder with --data.")


def _part(args: argparse.Namespace) -> None:
    from cli.service import roles
    from cli.service.folder import data_folder
    from tasks.errors import BadOption

    folder = data_folder(args.data, os.environ)
    if args.kubernetes is not None and args.name != "deploy":
        raise BadOption(f"--kubernetes goes with `part deploy`, not with `part {args.name}`.")
    if args.check:
        roles.check(args.name, folder, os.environ)
        return
    arguments = () if args.kubernetes is None else ("--kubernetes", str(args.kubernetes))
    roles.run(args.name, folder, os.environ, arguments)


def _reconstruct(args: argparse.Namespace) -> None:
    from cli.names import default_out
    from cli.service.folder import data_folder
    from cli.service.reconstruct import reconstruct

    folder = data_folder(args.data, os.environ)
    fields = client_commands.fields(args, local=True)
    out = args.out or default_out(args.source)
    reconstruct(folder, args.source, out, fields, progress_line)
    client_commands.show_summary(out)


def _maintain(args: argparse.Namespace) -> None:
    from cli.service import maintain
    from tasks.errors import BadOption

    if args.min_age is not None and args.min_age < 0:
        raise BadOption("--min-age must be 0 or more seconds.")
    found = maintain.maintain(args.data, dry_run=args.dry_run, min_age_seconds=args.min_age, say=progress_line)
    maintain.show(found, as_json=args.json)


def _keys_create(args: argparse.Namespace) -> None:
    from cli.service import keys

    with keys.opened(args.data) as database:
        made = keys.create(
            database,
            name=args.name,
            account=args.account,
            plan=args.plan,
            scope=args.scope,
            expires_in_seconds=args.expires_in,
            limits=args.limit,
        )
    keys.show(made, as_json=args.json)


def _keys_list(args: argparse.Namespace) -> None:
    from cli.service import keys

    with keys.opened(args.data) as database:
        found = keys.listed(database)
    keys.show(found, as_json=args.json)


def _keys_revoke(args: argparse.Namespace) -> None:
    from cli.service import keys

    with keys.opened(args.data) as database:
        found = keys.revoke(database, args.id)
    keys.show(found, as_json=args.json)


def _accounts_list(args: argparse.Namespace) -> None:
    from cli.service import accounts, keys
    from storage.settings import load_settings

    with keys.opened(args.data) as database:
        found = accounts.listed(database, load_settings())
    accounts.show(found, as_json=args.json)


def _accounts_set(args: argparse.Namespace) -> None:
    from cli.service import accounts, keys
    from storage.settings import load_settings

    with keys.opened(args.data) as database:
        changed = accounts.change(database, load_settings(), args.name, args.quota)
    accounts.show([changed], as_json=args.json)


def _keys_rotate(args: argparse.Namespace) -> None:
    from cli.service import keys

    with keys.opened(args.data) as database:
        found = keys.rotate(database, args.id)
    keys.show(found, as_json=args.json)
