"""`splatflow`: from a video to a Gaussian splat scene, on this machine.

Exit codes: 0 done; 1 a defect of ours; 2 the input, an option or this machine can't be used (with a slug); 130 stopped.
"""

import argparse
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from tasks.errors import BadOption, SplatflowError

EXIT_DEFECT = 1
EXIT_REFUSED = 2
EXIT_STOPPED = 130


class _Parser(argparse.ArgumentParser):
    """Says what is wrong the way all our errors are said."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise BadOption(f"{message[:1].upper()}{message[1:]}; see {self.prog} --help.")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command; ends the process with an exit code when it isn't 0."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    for wish_to_end in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs begin with SIGINT ignored
        signal.signal(wish_to_end, _terminated)
    try:
        args = parser().parse_args(arguments)
        args.call(args)
    except SplatflowError as error:
        print(f"error [{error.slug}]: {error}", file=sys.stderr)
        if debug:
            traceback.print_exc()
        sys.exit(EXIT_REFUSED)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(EXIT_STOPPED)
    except BrokenPipeError:
        sys.exit(EXIT_DEFECT)
    except Exception as error:
        _say_defect(error, debug)
        sys.exit(EXIT_DEFECT)


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _say_defect(error: Exception, debug: bool) -> None:
    print(f"error [internal]: splatflow failed, and it is not your input's fault: {error}", file=sys.stderr)
    if debug:
        print(getattr(error, "trace", None) or traceback.format_exc(), file=sys.stderr)
    else:
        print("Run it again with --debug for the details to report.", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    from cli import evaluate, tags
    from cli.client import commands as client_commands
    from cli.presets import METHODS, PRESETS
    from cli.service import commands as service_commands
    from tasks.process.device import DEVICES

    top = _Parser(prog="splatflow", description="From an ordinary video to a 3D Gaussian splat scene.")
    top.add_argument("--version", action="version", version=f"splatflow {version()}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    training = _Parser(add_help=False)
    group = training.add_argument_group("training")
    group.add_argument("--preset", choices=tuple(PRESETS), help="set of defaults (cpu: standard, cuda: full)")
    group.add_argument("--steps", type=_whole, metavar="N", help="training steps")
    group.add_argument("--max-gaussians", type=_whole, metavar="N", help="most Gaussians in the scene")
    group.add_argument("--train-side-px", type=_whole, metavar="N", help="long side of the images that training sees")
    group.add_argument("--sh-degree", type=_whole, metavar="0-3", help="degree of the spherical harmonics")
    group.add_argument("--antialiased", action="store_true", default=None, help="antialiased rasterisation")
    group.add_argument("--device", choices=DEVICES, default="auto", help="where to train (default: auto)")
    group.add_argument("--seed", type=_whole, metavar="N", help="seed of all random choices (default: 0)")
    group.add_argument("--threads", type=_whole, metavar="N", help="worker threads (default: one per core)")
    group = training.add_argument_group("size, mesh and video")
    group.add_argument(
        "--apriltag-size-mm", type=float, metavar="X", help="side of the tags' inner square: makes it metric"
    )
    group.add_argument("--apriltag-family", metavar="F", help="default: tagStandard41h12")
    group.add_argument("--mesh", action="store_true", default=None, help="also make mesh.glb")
    client_commands.add_turntable(group, _whole)
    group = training.add_argument_group("this run")
    group.add_argument("--out", type=Path, metavar="DIR", help="result folder (default: out/<name of the input>)")
    group.add_argument("--resume", action="store_true", help="go on from finished steps and the last checkpoint in DIR")
    group.add_argument("--clean", action="store_true", help="keep nothing for --resume after success")
    group.add_argument("--debug", action="store_true", help="show the details of a failure")

    command = commands.add_parser("run", parents=[training], help="video or photos to scene")
    command.add_argument("source", type=Path, metavar="VIDEO", help="a video, or a folder or zip of photos")
    group = command.add_argument_group("cameras")
    group.add_argument("--method", choices=METHODS, help="global (glomap, default) or incremental (colmap) mapping")
    group.add_argument("--max-frames", type=_whole, metavar="N", help="most frames kept from the video")
    group = command.add_argument_group("subject")
    group.add_argument("--remove-background", action="store_true", default=None, help="keep the subject alone")
    group.add_argument("--mask-model", metavar="NAME", help="rembg model, its file below REMBG_HOME (default: u2netp)")
    command.set_defaults(call=_run)

    command = commands.add_parser("train", parents=[training], help="posed images to scene")
    command.add_argument(
        "posed", type=Path, metavar="POSED", help="a folder with images/ and a COLMAP model in colmap/"
    )
    command.set_defaults(call=_train, method=None, max_frames=None, remove_background=None, mask_model=None)

    command = commands.add_parser("export", help="convert a scene file")
    command.add_argument("scene", type=Path, metavar="SCENE", help="a 3DGS .ply or a .spz")
    command.add_argument("--to", required=True, choices=("ply", "spz", "splat", "glb"), help="format to write")
    command.add_argument("--out", type=Path, metavar="FILE", help="default: beside SCENE, with the new ending")
    command.add_argument("--debug", action="store_true", help="show the details of a failure")
    command.set_defaults(call=_export)

    evaluate.add(commands)

    command = commands.add_parser("doctor", help="what this machine has, and what that means")
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(call=_doctor)

    command = commands.add_parser("demo", help="render a demo clip of a made scene")
    command.add_argument("clip", type=Path, metavar="CLIP", help="the .mp4 to write")
    command.add_argument("--frames", type=_whole, default=60, metavar="N", help="default: 60")
    command.add_argument("--seed", type=_whole, default=0, metavar="N", help="default: 0")
    command.add_argument("--debug", action="store_true", help="show the details of a failure")
    command.set_defaults(call=_demo)

    tags.add(commands)
    service_commands.add(commands, _whole)
    client_commands.add(commands, _whole)
    return top


def version() -> str:
    """The installed version."""
    from importlib import metadata

    try:
        return metadata.version("splatflow")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _whole(text: str) -> int:
    try:
        return int(text.replace(",", "").replace("_", ""))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _run(args: argparse.Namespace) -> None:
    from cli.pipeline import Inputs

    _reconstruct(args, args.source, Inputs(source=args.source))


def _train(args: argparse.Namespace) -> None:
    from cli.pipeline import Inputs

    _reconstruct(args, args.posed, Inputs(posed=args.posed))


def _reconstruct(args: argparse.Namespace, source: Path, inputs: Any) -> None:
    from rich.console import Console

    from cli import presets, summary
    from cli.display import shown
    from cli.names import default_out
    from cli.pipeline import run
    from tasks.process import device

    overrides = {
        name: getattr(args, name)
        for name in (
            "steps",
            "max_gaussians",
            "max_frames",
            "train_side_px",
            "sh_degree",
            "antialiased",
            "method",
            "seed",
            "threads",
            "remove_background",
            "mask_model",
            "apriltag_size_mm",
            "apriltag_family",
            "mesh",
            "turntable",
            "turntable_seconds",
            "turntable_size",
            "turntable_path",
        )
    }
    options = presets.resolve(preset=args.preset, device=device.resolve(args.device), overrides=overrides)
    out: Path = args.out or default_out(source)
    given = {name for name, value in overrides.items() if value is not None}
    given |= {"device"} if args.device != "auto" else set()
    given |= {"turntable"} if options.turntable else set()  # also where only its length was said
    console = Console()
    _print_plan(console, source, out, options, given, posed=inputs.posed is not None)
    try:
        with shown(console) as display:
            run(inputs, out, options, resume=args.resume, clean=args.clean, display=display)
    except KeyboardInterrupt:
        if (out / ".splatflow").is_dir():
            print("Stopped. The same command with --resume goes on from here.", file=sys.stderr)
        raise
    summary.show(console, out)


def _print_plan(console: Any, source: Path, out: Path, options: Any, given: set[str], *, posed: bool) -> None:
    from cli import presets

    console.print(f"splatflow {version()}: {source} -> {out}/", highlight=False, markup=False, soft_wrap=True)
    console.print(f"preset {options.preset}, on {options.device}:", highlight=False, markup=False)
    for line in presets.describe(options, given):
        if not (posed and line.startswith(("max-frames", "method"))):
            console.print(f"  {line}", highlight=False, markup=False)


def _export(args: argparse.Namespace) -> None:
    from cli.convert import convert

    written = convert(args.scene, args.to, args.out)
    print(f"wrote {written}")


def _doctor(args: argparse.Namespace) -> None:
    from cli import doctor

    doctor.show(as_json=args.json)


def _demo(args: argparse.Namespace) -> None:
    from cli import demo

    demo.write_clip(args.clip, frames=args.frames, seed=args.seed)
    print(f"wrote {args.clip}")


if __name__ == "__main__":
    main()
