"""A finished result folder judged anew by its held-out views, with or without masks."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from tasks.errors import BadPosedInput, BadScene
from tasks.gaussians.ply import read_ply
from tasks.train.backend import choose_backend
from tasks.train.dataset import EVALUATION_SIDE_PX, load_dataset
from tasks.train.evaluate import Evaluation, evaluate
from tasks.train.evaluate_subject import SubjectEvaluation, summary
from tasks.train.hull import volume_inside
from tasks.train.parameters import NAMES, Parameters
from tasks.train.subject import silhouettes

NEAR_PLANE = 0.01  # in the unit that the scene was trained in, as training has it

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The figures of a result; `claimed` are those of its report, None without one."""

    num_gaussians: int
    evaluation: Evaluation
    masked: SubjectEvaluation | None
    claimed: Mapping[str, Any] | None


def judge(
    result: Path,
    progress: Progress,
    *,
    masks: Path | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    threads: int | None = None,
) -> Judgement:
    """Judge `result/scene.ply` by the held-out views of `result/images` and `result/colmap`.

    Which views these are says `result/report.json`, or the rule of docs/conventions.md where there is none. With `masks`, or where
    the result has masks/, also within these: the same figures for scenes trained with and without them. The scene may be in
    metres: its report says how many make up the unit it was trained in.

    Raises BadScene, BadPosedInput, DeviceUnavailable.
    """
    if masks is not None and not masks.is_dir():
        raise BadPosedInput(f"{masks} is no folder; give the one that holds a mask for every image.")
    report = _report(result)
    scene = result / "scene.ply"
    if not scene.is_file():
        raise BadScene(f"{result} holds no scene.ply; give the folder that `splatflow run` wrote.")
    gaussians = read_ply(scene)
    dataset = load_dataset(result, masks)
    backend = choose_backend(device, threads)
    params = Parameters(**{name: torch.from_numpy(getattr(gaussians, name)).to(backend.device) for name in NAMES})
    claimed = report.get("evaluation") if report else None
    names = set((claimed or {}).get("held_out") or [view.name for view in dataset.held_out])
    held_out = [view for view in dataset.views if view.name in names]
    if not held_out:
        raise BadPosedInput(
            "None of the held-out views that report.json names is in the model; the folder is not whole."
        )
    evaluation = evaluate(
        params,
        backend,
        held_out,
        antialiased=bool(((report or {}).get("training") or {}).get("options", {}).get("antialiased")),
        near_plane=NEAR_PLANE * float(((report or {}).get("scale") or {}).get("metres_per_unit") or 1.0),
        progress=progress,
    )
    masked = None
    if dataset.masked:
        exact = silhouettes(dataset.views, side_px=EVALUATION_SIDE_PX, device=backend.device)
        masked = summary(list(evaluation.subjects), volume_inside(params, exact))
    return Judgement(num_gaussians=len(gaussians), evaluation=evaluation, masked=masked, claimed=claimed)


def _report(result: Path) -> Mapping[str, Any] | None:
    path = result / "report.json"
    if not path.is_file():
        return None
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadScene(f"{path} can't be read; run again, or delete it to judge by every 8th view.") from error
    if not isinstance(report, dict):
        raise BadScene(f"{path} is not a report of splatflow's.")
    return report
