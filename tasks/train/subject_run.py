"""What a run on a subject alone does besides: agreed masks before it, a cut at its end, figures within the masks."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import torch

from tasks.errors import NoSubject
from tasks.geometry.silhouettes import Silhouette
from tasks.train.agree import agree
from tasks.train.backend import Backend
from tasks.train.contributions import contributions
from tasks.train.dataset import EVALUATION_SIDE_PX, Dataset, View, mask_name
from tasks.train.evaluate_subject import SubjectEvaluation, SubjectScore, summary
from tasks.train.hull import remove_outside, volume_inside
from tasks.train.loop import TrainState
from tasks.train.options import TrainOptions
from tasks.train.parameters import Parameters
from tasks.train.recipe import Recipe
from tasks.train.subject import check_masks, only_subject, silhouettes

FOLDER = "masks"
NOTE = "masks.json"  # while the run lasts: whose masks they are
HULL_SIDE_PX = 400
GROWN_PX = 4  # of that size: what a mask may miss of its subject

Progress = Callable[[int, int, str], None]


@dataclass(kw_only=True)
class SubjectRun:
    """The data of a run on a subject alone."""

    dataset: Dataset  # with the agreed masks, and the points on the subject
    overlap: dict[str, float]  # of each view's own mask with the agreed one
    grown: Sequence[Silhouette]
    exact: Sequence[Silhouette]
    out: Path

    def cut(self, state: TrainState, recipe: Recipe, backend: Backend) -> None:
        """Take out of a trained scene what lies outside, and haze: what the views as good as don't show, like floaters behind the subject.

        Raises NoSubject when nothing is left.
        """
        shown = torch.zeros(len(state.params), device=backend.device)
        for view in self.dataset.training:
            shown += contributions(state.params, view, view.mask(), HULL_SIDE_PX, backend)[0]
        remove_outside(
            state.params,
            state.optimizer,
            self.grown,
            self.exact,
            least_part=recipe.hull,
            least_volume=recipe.volume_inside,
            shown=shown >= recipe.least_shown_px,
        )
        if not len(state.params):
            raise NoSubject(
                "Nothing of the scene lies within the masks: they don't agree on one thing. "
                "Film one thing that stands out, or keep the background."
            )

    def judged(self, params: Parameters, scores: Sequence[SubjectScore]) -> SubjectEvaluation:
        """The figures within the masks; the volume is by the masks of all views, held-out ones too."""
        exact = silhouettes(self.dataset.views, side_px=EVALUATION_SIDE_PX, device=params.means.device)
        return summary(list(scores), volume_inside(params, exact), self.overlap)

    def finish(self) -> None:
        """Leave only what belongs to the result."""
        (self.out / NOTE).unlink(missing_ok=True)


def prepare_subject(
    dataset: Dataset, out: Path, key: str, options: TrainOptions, backend: Backend, progress: Progress
) -> SubjectRun:
    """Make the masks agree and leave them in `out/masks`, or take those that a broken-off run of the same `key` left there.

    Raises BadPosedInput when a mask or picture can't be read; NoSubject when there is nothing on them, or they agree on nothing.
    """
    check_masks(dataset)
    overlap = _left_by(out, key)
    if overlap is None:
        overlap = _write_agreed(dataset, out, key, options, backend, progress)
    dataset = only_subject(_with_masks(dataset, out / FOLDER))
    device = backend.device
    return SubjectRun(
        dataset=dataset,
        overlap=overlap,
        grown=silhouettes(dataset.training, side_px=HULL_SIDE_PX, grow_px=GROWN_PX, device=device),
        exact=silhouettes(dataset.training, side_px=EVALUATION_SIDE_PX, device=device),
        out=out,
    )


def _write_agreed(
    dataset: Dataset, out: Path, key: str, options: TrainOptions, backend: Backend, progress: Progress
) -> dict[str, float]:
    def part(done: int, total: int, _message: str) -> None:
        progress(0, options.steps, f"making the masks agree, {100 * done // max(1, total)} %")

    agreement = agree(dataset, options, backend, part)
    partial = out / f"{FOLDER}.partial"
    for folder in (partial, out / FOLDER):
        shutil.rmtree(folder, ignore_errors=True)
    for name, mask in agreement.masks.items():
        path = partial / mask_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", mask)[1].tobytes())
    partial.replace(out / FOLDER)
    (out / NOTE).write_text(json.dumps({"key": key, "overlap": agreement.overlap}))
    return agreement.overlap


def _left_by(out: Path, key: str) -> dict[str, float] | None:
    """The overlaps that a run of this key noted when its masks were written whole; None when there are none."""
    try:
        note = json.loads((out / NOTE).read_text())
    except (OSError, ValueError):
        return None
    return note["overlap"] if note.get("key") == key and (out / FOLDER).is_dir() else None


def _with_masks(dataset: Dataset, folder: Path) -> Dataset:
    def own(view: View) -> View:
        return replace(view, mask_path=folder / mask_name(view.name))

    return replace(dataset, training=[own(v) for v in dataset.training], held_out=[own(v) for v in dataset.held_out])
