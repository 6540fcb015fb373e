"""Which pieces belong to the subject."""

import numpy as np

from tasks.mask.islands import drop_islands


def picture(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """(200, 300) map with rectangles (top, left, bottom, right) of probability 0.9 over 0.05."""
    values = np.full((200, 300), 0.05, np.float32)
    for top, left, bottom, right in boxes:
        values[top:bottom, left:right] = 0.9
    return values


MAIN = (60, 100, 180, 200)


def test_one_piece_is_left_alone():
    values = picture(MAIN)
    assert drop_islands(values) is values


def test_a_small_far_piece_goes_with_its_border_and_nothing_else():
    values = picture(MAIN, (5, 5, 25, 25))
    values[0:30, 0:3] = 0.3  # its soft border
    found = drop_islands(values)
    assert found[:30, :30].max() == 0
    np.testing.assert_array_equal(found[60:180, 100:200], values[60:180, 100:200])
    np.testing.assert_array_equal(found[150:, 220:], values[150:, 220:])


def test_a_small_near_piece_stays_and_what_hangs_on_it():
    values = picture(MAIN, (100, 206, 120, 226), (100, 236, 120, 256))
    np.testing.assert_array_equal(drop_islands(values), values)


def test_a_large_far_piece_stays():
    values = picture((60, 10, 180, 100), (60, 200, 140, 290))
    np.testing.assert_array_equal(drop_islands(values), values)


def test_nothing_stays_nothing():
    values = picture()
    np.testing.assert_array_equal(drop_islands(values), values)
