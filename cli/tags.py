"""`splatflow tags`: printable AprilTags at their true size."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Adds the command to what `add_subparsers` returned."""
    command = commands.add_parser("tags", help="printable AprilTags, which give a scene its true size")
    command.add_argument("out", type=Path, metavar="OUT.pdf", help="the PDF to write")
    command.add_argument(
        "--size-mm",
        type=_number,
        required=True,
        metavar="MM",
        help="side of the square that is measured: the inner white one of tagStandard41h12; 1 to 1000",
    )
    command.add_argument("--ids", type=_ids, default=(0, 1), metavar="IDS", help="such as 0-3 or 0,2,5 (default: 0-1)")
    command.add_argument("--family", default="tagStandard41h12", metavar="F", help="default: tagStandard41h12")
    command.add_argument("--paper", choices=("a4", "letter"), default="a4", help="default: a4")
    command.add_argument("--debug", action="store_true", help="show the details of a failure")
    command.set_defaults(call=_tags)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _ids(text: str) -> tuple[int, ...]:
    from tasks.errors import BadOption
    from tasks.tags.ids import parse_ids

    try:
        return parse_ids(text)
    except BadOption as error:
        raise argparse.ArgumentTypeError(str(error).rstrip(".")) from None


def _tags(args: argparse.Namespace) -> None:
    from tasks.gaussians.files import atomic_write
    from tasks.tags.pdf import tags_pdf

    document = tags_pdf(args.size_mm, args.ids, args.family, args.paper)
    with atomic_write(args.out) as file:
        file.write(document)
    print(
        f"wrote {args.out}; print it at 100 %, and give --apriltag-size-mm {args.size_mm:g} if the measure line says so"
    )
