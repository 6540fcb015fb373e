"""`splatflow evaluate`: a result judged by its held-out views, with our own rasteriser."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from tasks.errors import BadPosedInput


def add(commands: Any) -> None:
    """Adds the command to the grammar."""
    from tasks.process.device import DEVICES

    command = commands.add_parser("evaluate", help="judge a result by its held-out views")
    command.add_argument("result", type=Path, metavar="RESULT", help="a folder that `run` or `train` wrote")
    command.add_argument(
        "--masks", type=Path, metavar="DIR", help="judge within these masks too (default: RESULT/masks, if there)"
    )
    command.add_argument("--device", choices=DEVICES, default="auto", help="where to render (default: auto)")
    command.add_argument("--json", action="store_true", help="for programs")
    command.add_argument("--debug", action="store_true", help="show the details of a failure")
    command.set_defaults(call=evaluate)


def evaluate(args: argparse.Namespace) -> None:
    """Judges `args.result` and prints the figures.

    Raises BadScene, BadPosedInput, DeviceUnavailable.
    """
    from tasks.train.judge import judge

    if not args.result.is_dir():
        raise BadPosedInput(f"{args.result} is no folder; give the one that `splatflow run` wrote.")
    judgement = judge(args.result, lambda done, total, message: None, masks=args.masks, device=args.device)
    if args.json:
        print(json.dumps(dataclasses.asdict(judgement), indent=2))
        return
    for line in lines(judgement):
        print(line)


def lines(judgement: Any) -> list[str]:
    """The figures of a `tasks.train.judge.Judgement`, for people."""
    found, claimed = judgement.evaluation, judgement.claimed
    width = max(len(score.name) for score in found.views)
    told = [
        f"{judgement.num_gaussians:,} Gaussians, {len(found.views)} held-out views at {found.width}x{found.height}",
        f"{'whole picture':<{width}}  PSNR {found.psnr_db:.3f} dB  SSIM {found.ssim:.4f}",
    ]
    if claimed and claimed.get("psnr_db") is not None:
        told[-1] += f"  (the report: {claimed['psnr_db']:.3f} dB)"
    told += [f"{s.name:<{width}}  PSNR {s.psnr_db:.3f} dB  SSIM {s.ssim:.4f}" for s in found.views]
    masked = judgement.masked
    if masked is not None:
        told.append(f"{'within masks':<{width}}  {_subject(masked)}")
        told += [f"{s.name:<{width}}  {_subject(s)}" for s in masked.views]
        told.append(f"volume inside the masks: {100 * masked.volume_inside:.1f} %")
    return told


def _subject(score: Any) -> str:
    def db(value: float | None) -> str:
        return "none" if value is None else f"{value:.3f} dB"

    return (
        f"PSNR {db(score.psnr_db)}  at the edge {db(score.band_psnr_db)}  alpha off by {score.alpha_mae:.4f}  "
        f"fills {100 * score.coverage:.0f} %"
    )
