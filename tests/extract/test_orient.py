"""All eight orientations, against FFmpeg's own meaning of the matrix and against each other."""

import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from tasks.extract.orient import Orientation, from_matrix, of_frame
from tests.extract.clips import pan, wall, write_clip

EIGHT = [Orientation(transpose=t, flip_x=x, flip_y=y) for t, x, y in itertools.product([False, True], repeat=3)]


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_rotations_are_those_of_numpy(turn: int) -> None:
    image = wall(12, 20)
    radians = np.deg2rad(turn)
    c, s = round(np.cos(radians)), round(np.sin(radians))
    orientation = from_matrix(c, s, -s, c)  # x' = c x - s y, y' = s x + c y: clockwise with y down
    assert np.array_equal(orientation.apply(image), np.rot90(image, k=-turn // 90))
    assert orientation.rotation_deg == turn
    assert not orientation.mirrored
    assert orientation.size(20, 12) == ((12, 20) if turn % 180 else (20, 12))


@pytest.mark.parametrize("orientation", EIGHT)
def test_applying_gives_the_size_it_says_and_a_contiguous_array(orientation: Orientation) -> None:
    image = wall(6, 10)
    upright = orientation.apply(image)
    assert (upright.shape[1], upright.shape[0]) == orientation.size(10, 6)
    assert upright.flags.c_contiguous


def test_the_eight_are_different_and_half_are_mirrored() -> None:
    image = wall(8, 8)
    assert len({orientation.apply(image).tobytes() for orientation in EIGHT}) == 8
    assert sum(orientation.mirrored for orientation in EIGHT) == 4


def test_mirrored_means_mirrored_then_turned() -> None:
    image = wall(6, 10)
    for orientation in EIGHT:
        start = image[:, ::-1] if orientation.mirrored else image
        assert np.array_equal(orientation.apply(image), np.rot90(start, k=-orientation.rotation_deg // 90))


@pytest.mark.parametrize("rotation_deg", [0, 90, 180, -90])
def test_agrees_with_the_library_that_wrote_the_matrix(tmp_path: Path, rotation_deg: int) -> None:
    path = write_clip(tmp_path / "clip.mp4", pan(2, 64, 48), rotation_deg=rotation_deg)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        decoded = frame.to_ndarray(format="rgb24")
        assert np.array_equal(of_frame(frame).apply(decoded), np.rot90(decoded, k=frame.rotation // 90))
