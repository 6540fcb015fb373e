"""Tags as cells: the same that the official images show and the detector reads."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tasks.errors import BadOption
from tasks.tags.detector import tag_detector
from tasks.tags.families import BLACK, FAMILIES, WHITE, family, pattern


@pytest.mark.shared
@pytest.mark.parametrize("tag_id", range(10))
def test_tags_are_the_official_ones(shared_data, tag_id):
    path = shared_data / "apriltag" / "tagStandard41h12" / f"tag41_12_{tag_id:05d}.png"
    with Image.open(path) as image:
        official = np.asarray(image.convert("L"))
    assert np.array_equal(pattern("tagStandard41h12", tag_id), np.where(official > 127, WHITE, BLACK))


@pytest.mark.shared
def test_the_size_is_that_of_the_inner_white_square(shared_data):
    """The corners found in an official image lie 5 of its 9 cells apart: the factor 9/5 can't slip in unseen."""
    with Image.open(shared_data / "apriltag" / "tagStandard41h12" / "tag41_12_00003.png") as image:
        official = np.asarray(image.convert("L"))
    assert official.shape == (9, 9)
    cell_px = 30
    picture = np.pad(np.kron(official, np.ones((cell_px, cell_px), np.uint8)), 40, constant_values=255)
    with tag_detector("tagStandard41h12") as detector:
        (found,) = detector.detect(picture)
    sides = np.linalg.norm(found.corners - np.roll(found.corners, 1, axis=0), axis=1)
    assert sides / cell_px == pytest.approx(5, abs=0.05)
    layout = family("tagStandard41h12")
    assert (layout.cells, layout.inner_cells, layout.inset, layout.inner_is_white) == (9, 5, 2, True)
    grid = pattern("tagStandard41h12", 3)
    ring = np.concatenate([grid[2, 2:7], grid[6, 2:7], grid[2:7, 2], grid[2:7, 6]])
    assert (ring == WHITE).all()  # white inside ...
    assert (grid[1, 1:8] == BLACK).all()  # ... and black around it


@pytest.mark.parametrize("name", FAMILIES)
def test_the_detector_reads_what_the_pattern_says(name):
    layout = family(name)
    low, high = layout.inset, layout.inset + layout.inner_cells
    corners = np.array([[low, high], [high, high], [high, low], [low, low]])  # the order of all detections
    with tag_detector(name) as detector:
        for tag_id in (0, 1, layout.count // 2, layout.count - 1):
            gray = np.where(pattern(name, tag_id) == BLACK, 20, 235).astype(np.uint8)
            picture = np.pad(np.kron(gray, np.ones((16, 16), np.uint8)), 48, constant_values=200)
            (found,) = detector.detect(picture)
            assert (found.tag_id, found.hamming) == (tag_id, 0)
            assert np.abs((found.corners - 48) / 16 - corners).max() < 0.05


def test_families_with_many_tags_take_little_memory():
    """Made the usual way, this detector takes 6 GB; in a process of its own, since peaks stay."""
    program = (
        "from pathlib import Path\n"
        "from tasks.tags.detector import tag_detector\n"
        "with tag_detector('tagStandard52h13'):\n"
        "    status = Path('/proc/self/status').read_text()\n"
        "    print(int(status.partition('VmHWM:')[2].split()[0]) // 1024)\n"  # getrusage's peak is inherited
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(answer.stdout) < 700


def test_detectors_can_be_opened_and_closed_many_times_in_several_threads():
    """The package's own way of freeing them corrupts the heap."""
    program = (
        "import numpy as np\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from tasks.tags.detector import tag_detector\n"
        "def read(k):\n"
        "    with tag_detector(['tag16h5', 'tag36h11', 'tagStandard41h12'][k % 3]) as detector:\n"
        "        for seed in range(3):\n"
        "            detector.detect(np.random.default_rng(k + seed).integers(0, 255, (90, 120), dtype=np.uint8))\n"
        "with ThreadPoolExecutor(3) as pool:\n"
        "    list(pool.map(read, range(30)))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_its_square(name):
    layout = family(name)
    grid = pattern(name, 0)
    low, high = layout.inset, layout.inset + layout.inner_cells
    assert grid.shape == (layout.cells, layout.cells)
    assert len(layout.codes) == layout.count
    assert len({tuple(bit) for bit in layout.bits}) == len(layout.bits)
    ring = [grid[low, low:high], grid[high - 1, low:high], grid[low:high, low], grid[low:high, high - 1]]
    assert (np.concatenate(ring) == (WHITE if layout.inner_is_white else BLACK)).all()


@pytest.mark.parametrize("tag_id", [-1, 2115])
def test_ids_out_of_range_are_refused(tag_id):
    with pytest.raises(BadOption, match="0 to 2114"):
        pattern("tagStandard41h12", tag_id)


def test_an_unknown_family_is_refused():
    with pytest.raises(BadOption, match="tag36h11"):
        family("tag36h10")
