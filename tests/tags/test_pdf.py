"""Printed tags have their true size."""

import numpy as np
import pytest

from tasks.errors import BadOption
from tasks.tags.detector import tag_detector
from tasks.tags.families import FAMILIES, family
from tasks.tags.layout import PAPERS_MM, largest_size_mm
from tasks.tags.pdf import black_blocks, tags_pdf
from tests.tags.drawing import black_rectangles_mm, page_size_mm, rasterise


def sides_mm(document: bytes, name: str, pixels_per_mm: float = 6.0) -> dict[int, np.ndarray]:
    """By id the four distances between neighbouring detected corners, as measured on the drawn pages."""
    found = {}
    with tag_detector(name) as detector:
        for rectangles in black_rectangles_mm(document):
            page = rasterise(rectangles, page_size_mm(document), pixels_per_mm)
            for tag in detector.detect(page):
                assert tag.hamming == 0
                assert tag.tag_id not in found
                sides_px = np.linalg.norm(tag.corners - np.roll(tag.corners, 1, axis=0), axis=1)
                found[tag.tag_id] = sides_px / pixels_per_mm
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_corners_are_as_far_apart_as_asked(name):
    size = 40.0
    found = sides_mm(tags_pdf(size, [0, 1, 2], name), name)
    assert sorted(found) == [0, 1, 2]
    for sides in found.values():
        assert sides == pytest.approx(size, abs=0.12)  # under a pixel


def test_the_example_of_the_documentation_fits_on_a4():
    document = tags_pdf(95.6, range(4))
    assert page_size_mm(document) == pytest.approx((210, 297), abs=0.01)
    assert len(black_rectangles_mm(document)) == 4
    found = sides_mm(document, "tagStandard41h12", 4.0)
    assert sorted(found) == [0, 1, 2, 3]
    assert np.array(list(found.values())) == pytest.approx(95.6, abs=0.15)


def test_rectangles_are_exact():
    """Without any rasterising: the cells' edges lie on multiples of a fifth of the size."""
    (page,) = black_rectangles_mm(tags_pdf(50.0, [7]))
    for values in (page[:, 0], page[:, 1], page[:, 2], page[:, 3]):
        cells = (values - values.min()) / 10.0
        assert np.abs(cells - np.round(cells)).max() < 1e-3
    assert (page[:, 0] + page[:, 2]).max() - page[:, 0].min() == pytest.approx(90, abs=1e-3)  # 9/5 of the size


def test_the_measure_line_spans_the_size_and_says_so():
    document = tags_pdf(41.5, [3])
    text = document.decode("latin-1")
    assert "41.5 mm: side of the inner white square" in text
    assert "tagStandard41h12, id 3" in text
    assert "Print at 100 %" in text
    assert "outer black square" in tags_pdf(41.5, [3], "tag36h11").decode("latin-1")


def test_small_tags_share_a_page_and_large_ones_do_not():
    assert len(black_rectangles_mm(tags_pdf(20.0, range(8)))) == 1
    assert len(black_rectangles_mm(tags_pdf(90.0, range(3)))) == 3


@pytest.mark.parametrize("paper", list(PAPERS_MM))
@pytest.mark.parametrize("name", FAMILIES)
def test_the_largest_size_fits_and_a_larger_one_does_not(name, paper):
    largest = largest_size_mm(family(name), paper)
    (page,) = black_rectangles_mm(tags_pdf(largest - 1e-6, [0], name, paper))
    width, height = PAPERS_MM[paper]
    assert page[:, 0].min() >= 5
    assert (page[:, 0] + page[:, 2]).max() <= width - 5
    assert page[:, 1].min() >= 20
    assert (page[:, 1] + page[:, 3]).max() <= height - 12
    with pytest.raises(BadOption, match="doesn't fit"):
        tags_pdf(largest + 0.1, [0], name, paper)


def test_the_same_input_gives_the_same_bytes():
    assert tags_pdf(30, [0, 1]) == tags_pdf(30, [0, 1])


def test_blocks_cover_the_black_cells_once():
    rng = np.random.default_rng(0)
    for _ in range(50):
        grid = rng.integers(-1, 2, (9, 9)).astype(np.int8)
        count = np.zeros((9, 9), int)
        for row, column, rows, columns in black_blocks(grid):
            count[row : row + rows, column : column + columns] += 1
        assert np.array_equal(count, (grid == 0).astype(int))


@pytest.mark.parametrize("size", [0, -5, 0.99, 1000.5, 1001, float("nan"), float("inf"), "text", None, True])
def test_bad_sizes_are_refused(size):
    with pytest.raises(BadOption, match=r"^AprilTag size must be between 1mm and 1000mm\.$"):
        tags_pdf(size, [0])


@pytest.mark.parametrize(
    ("ids", "message"),
    [([], "No tag ids"), (range(101), "too many"), ([1, 1], "twice"), ([2115], "0 to 2114"), ([-1], "0 to 2114")],
)
def test_bad_ids_are_refused(ids, message):
    with pytest.raises(BadOption, match=message):
        tags_pdf(10, list(ids))


def test_bad_paper_is_refused():
    with pytest.raises(BadOption, match="a4"):
        tags_pdf(10, [0], paper="a0")
