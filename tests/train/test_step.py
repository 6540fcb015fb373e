"""The train step as a whole, on a scene whose truth is known."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tasks.gaussians.ply import read_ply
from tasks.train.options import TrainOptions
from tasks.train.step import train
from tests.support.posed import write_posed

STEPS = 240
HELD_OUT = ("frame_000000.png", "frame_000008.png", "frame_000016.png")


class Stop(Exception):
    pass


def options(**changes) -> TrainOptions:
    return TrainOptions(
        **{"steps": STEPS, "max_gaussians": 1_500, "train_side_px": 96, "device": "cpu", "threads": 2, **changes}
    )


def silent(done: int, total: int, message: str) -> None:
    pass


def stop_at(step: int):
    def progress(done: int, total: int, message: str) -> None:
        if done == step and "training" in message:
            raise Stop

    return progress


@pytest.fixture(scope="module")
def posed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_posed(tmp_path_factory.mktemp("train") / "posed", views=24)


@pytest.fixture(scope="module")
def trained(posed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("train") / "whole"
    train(posed, out, options(), silent)
    return out


def test_learns_views_it_never_saw(posed: Path, trained: Path, tmp_path: Path) -> None:
    untrained = train(posed, tmp_path / "untrained", options(steps=1), silent)
    data = json.loads((trained / "train.json").read_text())
    assert data["evaluation"]["psnr_db"] > max(22.5, untrained.psnr_db + 6)
    assert data["evaluation"]["held_out"] == list(HELD_OUT)
    assert data["evaluation"]["width"] == 96
    assert data["evaluation"]["height"] == 54
    assert data["num_gaussians"] == len(read_ply(trained / "scene.ply")) == 1_500
    assert data["history"][-1]["step"] == STEPS
    assert 0 < data["seconds_per_step"] < data["seconds"]


def test_leaves_what_it_promises_and_nothing_else(trained: Path) -> None:
    assert {p.name for p in trained.iterdir()} == {
        "scene.ply", "renders", "preview.png", "camera.json", "train.json", "previews",
    }  # fmt: skip
    assert {p.name for p in (trained / "renders").iterdir()} == set(HELD_OUT)


def test_a_seed_repeats_a_run_bit_for_bit(posed: Path, trained: Path, tmp_path: Path) -> None:
    train(posed, tmp_path / "again", options(), silent)
    assert (tmp_path / "again" / "scene.ply").read_bytes() == (trained / "scene.ply").read_bytes()


def test_another_seed_is_another_run(posed: Path, trained: Path, tmp_path: Path) -> None:
    train(posed, tmp_path / "other", options(seed=1), silent)
    assert (tmp_path / "other" / "scene.ply").read_bytes() != (trained / "scene.ply").read_bytes()


@pytest.mark.parametrize("stops", [(1,), (37, 150), (STEPS - 1,)])
def test_a_broken_off_run_ends_as_if_it_had_not_been(
    posed: Path, trained: Path, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    out = tmp_path / "broken"
    for stop in stops:
        with pytest.raises(Stop):
            train(posed, out, options(), stop_at(stop))
        assert (out / "checkpoint.pt").is_file()
        assert not (out / "scene.ply").exists()
    train(posed, out, options(), silent)
    assert (out / "scene.ply").read_bytes() == (trained / "scene.ply").read_bytes()
    assert not (out / "checkpoint.pt").exists()


def test_a_checkpoint_of_other_options_is_not_taken(posed: Path, tmp_path: Path) -> None:
    out = tmp_path / "mixed"
    with pytest.raises(Stop):
        train(posed, out, options(seed=5), stop_at(50))
    begun = []
    with pytest.raises(Stop):
        train(
            posed,
            out,
            options(steps=STEPS + 10),
            lambda done, total, message: begun.append(done) or stop_at(20)(done, total, message),
        )
    assert begun[0] == 0


def test_a_damaged_checkpoint_begins_anew(posed: Path, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "damaged"
    out.mkdir()
    (out / "checkpoint.pt").write_bytes(b"half a checkpoint")
    train(posed, out, options(), silent)
    assert (out / "scene.ply").read_bytes() == (trained / "scene.ply").read_bytes()


def test_held_out_pictures_do_not_influence_training(posed: Path, trained: Path, tmp_path: Path) -> None:
    """Held-out views may be anything: the scene stays the same to the bit."""
    import cv2

    other = Path(shutil.copytree(posed, tmp_path / "other"))
    for name in HELD_OUT:
        cv2.imwrite(str(other / "images" / name), np.random.default_rng(0).integers(0, 255, (54, 96, 3), np.uint8))
    train(other, tmp_path / "out", options(), silent)
    assert (tmp_path / "out" / "scene.ply").read_bytes() == (trained / "scene.ply").read_bytes()
    judged = json.loads((tmp_path / "out" / "train.json").read_text())["evaluation"]["psnr_db"]
    assert judged < 15


def test_antialiased_training_works(posed: Path, tmp_path: Path) -> None:
    record = train(posed, tmp_path / "aa", options(antialiased=True), silent)
    assert record.psnr_db > 22
