"""Training a subject alone, on a scene whose subject, alpha and background are known."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tasks.errors import BadPosedInput, NoSubject
from tasks.gaussians.ply import read_ply
from tasks.train import agree
from tasks.train.options import TrainOptions
from tasks.train.step import train
from tasks.train.subject import NEUTRAL_GROUND
from tests.support.subject import MadeSubject, write_subject

STEPS = 400
HELD_OUT = ("frame_000000.png", "frame_000008.png", "frame_000016.png")


class Stop(Exception):
    pass


def options(**changes) -> TrainOptions:
    return TrainOptions(
        **{"steps": STEPS, "max_gaussians": 2_000, "train_side_px": 96, "device": "cpu", "threads": 2, **changes}
    )


def silent(done: int, total: int, message: str) -> None:
    pass


@pytest.fixture(scope="module", autouse=True)
def small_scout() -> Iterator[None]:
    """The scene that masks are put to the vote in is as small as these pictures; at its usual size it takes most of a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agree, "SCOUT_STEPS", 250)
        patch.setattr(agree, "SCOUT_GAUSSIANS", 2_000)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeSubject:
    return write_subject(tmp_path_factory.mktemp("masked") / "posed")


@pytest.fixture(scope="module")
def trained(made: MadeSubject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("masked") / "whole"
    train(made.folder, out, options(), silent)
    return out


@pytest.fixture(scope="module")
def unmasked(made: MadeSubject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masked")
    posed = folder / "posed"
    shutil.copytree(made.folder, posed, ignore=shutil.ignore_patterns("masks"))
    train(posed, folder / "whole", options(), silent)
    return folder / "whole"


def masked_figures(folder: Path) -> dict:
    return json.loads((folder / "train.json").read_text())["evaluation"]["masked"]


def render_of(folder: Path, name: str) -> np.ndarray:
    return cv2.imread(str(folder / "renders" / name))[..., ::-1].astype(np.float32) / 255


def test_the_background_is_not_learnt(made: MadeSubject, trained: Path) -> None:
    figures = masked_figures(trained)
    assert figures["alpha_mae"] < 0.02
    for name in HELD_OUT:
        far = cv2.erode((made.alone[name][1] < 0.01).astype(np.uint8), np.ones((7, 7))).astype(bool)
        assert far.mean() > 0.3
        assert np.abs(render_of(trained, name)[far] - NEUTRAL_GROUND).mean() < 0.01
    means = read_ply(trained / "scene.ply").means
    assert (np.linalg.norm(means, axis=1) < 2).all()  # the wall is 9 away


def test_the_subject_is_met_at_least_as_well_as_with_its_background(
    made: MadeSubject, trained: Path, unmasked: Path
) -> None:
    from tasks.train.judge import judge

    result = Path(shutil.copytree(made.folder, unmasked.parent / "result", dirs_exist_ok=True))
    shutil.copy(unmasked / "scene.ply", result / "scene.ply")
    judged = judge(result, silent, masks=trained / "masks").masked
    assert judged is not None
    assert judged.psnr_db is not None
    assert masked_figures(trained)["psnr_db"] > judged.psnr_db - 0.3
    assert judged.volume_inside < 0.5  # the wall is nearly all of it


def test_no_fringe_of_the_background_is_at_the_edge(made: MadeSubject, trained: Path) -> None:
    """Before a ground that neither side ever saw, the soft edge looks as the true subject does there."""
    for name in HELD_OUT:
        colour, alpha = made.alone[name]
        soft = ((alpha > 0.1) & (alpha < 0.9))[..., 0]
        error = render_of(trained, name) - (colour + (1 - alpha) * NEUTRAL_GROUND)
        assert soft.sum() > 100
        assert np.abs(error[soft].mean()) < 0.03  # neither a dark nor a bright halo
        assert np.sqrt((error[soft] ** 2).mean()) < 0.12


def test_the_volume_lies_inside(trained: Path) -> None:
    assert masked_figures(trained)["volume_inside"] >= 0.95


def test_leaves_what_it_promises_and_nothing_else(made: MadeSubject, trained: Path) -> None:
    assert {p.name for p in trained.iterdir()} == {
        "scene.ply", "renders", "preview.png", "camera.json", "train.json", "previews", "masks",
    }  # fmt: skip
    assert {p.name for p in (trained / "masks").iterdir()} == set(made.alone)
    figures = masked_figures(trained)
    assert {"psnr_db", "band_psnr_db", "alpha_mae", "coverage", "volume_inside", "views", "mask_overlap"} <= set(
        figures
    )
    assert [view["name"] for view in figures["views"]] == list(HELD_OUT)


def test_true_masks_stay_as_they_are(made: MadeSubject, trained: Path) -> None:
    for name, (_, alpha) in made.alone.items():
        mask = cv2.imread(str(trained / "masks" / name), cv2.IMREAD_GRAYSCALE) / 255
        assert np.abs(mask - alpha[..., 0]).mean() < 0.01


def test_the_preview_is_on_the_neutral_ground(trained: Path) -> None:
    preview = cv2.imread(str(trained / "preview.png"))
    assert np.abs(preview[:4, :4].astype(float) / 255 - NEUTRAL_GROUND).max() < 0.02


def test_masks_that_are_wrong_in_some_views_are_outvoted(made: MadeSubject, tmp_path: Path) -> None:
    """Three views of 24 have lost the subject, two more take a piece of the wall for it."""
    posed = Path(shutil.copytree(made.folder, tmp_path / "posed"))
    lost, added = ("frame_000003.png", "frame_000008.png", "frame_000013.png"), ("frame_000005.png", "frame_000017.png")
    for name in (*lost, *added):
        mask = cv2.imread(str(posed / "masks" / name), cv2.IMREAD_GRAYSCALE)
        if name in lost:
            mask[:] = 0
        else:
            mask[4:24, 4:24] = 255
        cv2.imwrite(str(posed / "masks" / name), mask)
    train(posed, tmp_path / "out", options(), silent)
    for name in (*lost, *added):
        mask = cv2.imread(str(tmp_path / "out" / "masks" / name), cv2.IMREAD_GRAYSCALE) / 255
        truth = made.alone[name][1][..., 0]
        assert np.minimum(mask, truth).sum() / np.maximum(mask, truth).sum() > 0.8
    assert masked_figures(tmp_path / "out")["alpha_mae"] < 0.03


@pytest.mark.parametrize("stops", [(1, 150), (STEPS - 1,)])
def test_a_broken_off_run_ends_as_if_it_had_not_been(
    made: MadeSubject, trained: Path, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    def stop_at(step: int):
        def progress(done: int, total: int, message: str) -> None:
            if done == step and "training" in message:
                raise Stop

        return progress

    out = tmp_path / "broken"
    for stop in stops:
        with pytest.raises(Stop):
            train(made.folder, out, options(), stop_at(stop))
        assert not (out / "scene.ply").exists()
    train(made.folder, out, options(), silent)
    assert (out / "scene.ply").read_bytes() == (trained / "scene.ply").read_bytes()
    assert {p.name for p in out.iterdir()} == {p.name for p in trained.iterdir()}


def test_held_out_pictures_and_masks_do_not_influence_training(
    made: MadeSubject, trained: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(made.folder, tmp_path / "other"))
    rng = np.random.default_rng(0)
    for name in HELD_OUT:
        cv2.imwrite(str(other / "images" / name), rng.integers(0, 255, (80, 96, 3), np.uint8))
        cv2.imwrite(str(other / "masks" / name), rng.integers(0, 255, (80, 96), np.uint8))
    train(other, tmp_path / "out", options(), silent)
    assert (tmp_path / "out" / "scene.ply").read_bytes() == (trained / "scene.ply").read_bytes()


def broken(made: MadeSubject, tmp_path: Path, how: str) -> Path:
    posed = Path(shutil.copytree(made.folder, tmp_path / "posed"))
    victim = posed / "masks" / "frame_000005.png"
    if how == "missing":
        victim.unlink()
    elif how == "wrong size":
        cv2.imwrite(str(victim), np.zeros((40, 96), np.uint8))
    elif how == "not an image":
        victim.write_text("mask")
    return posed


@pytest.mark.parametrize("how", ["missing", "wrong size", "not an image"])
def test_a_bad_mask_is_said_before_any_work(made: MadeSubject, tmp_path: Path, how: str) -> None:
    def none(done: int, total: int, message: str) -> None:
        assert "training" not in message

    with pytest.raises(BadPosedInput, match=r"frame_000005\.png"):
        train(broken(made, tmp_path, how), tmp_path / "out", options(), none)


def test_empty_masks_hold_no_subject(made: MadeSubject, tmp_path: Path) -> None:
    posed = Path(shutil.copytree(made.folder, tmp_path / "posed"))
    for path in (posed / "masks").iterdir():
        cv2.imwrite(str(path), np.zeros((80, 96), np.uint8))
    with pytest.raises(NoSubject):
        train(posed, tmp_path / "out", options(), silent)
