"""Peak memory does not depend on how long a clip is."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.extract.clips import pan, wall, write_looped

_PROGRAM = """
import sys
from pathlib import Path
from tasks.extract.options import ExtractOptions
from tasks.extract.step import extract
extract(Path(sys.argv[1]), Path(sys.argv[2]), ExtractOptions(max_frames=int(sys.argv[3])), lambda *_: None)
status = Path("/proc/self/status").read_text()  # not getrusage, whose peak is inherited from the process that started this one
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def _peak_mb(clip: Path, out: Path, max_frames: int) -> float:
    command = [sys.executable, "-c", _PROGRAM, str(clip), str(out), str(max_frames)]
    result = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    return int(result.stdout) / 1024


def test_peak_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    there = pan(15, 640, 360)
    views = there + there[::-1]
    short = _peak_mb(write_looped(tmp_path / "short.mp4", views, 3), tmp_path / "a", 30)
    long = _peak_mb(write_looped(tmp_path / "long.mp4", views, 40), tmp_path / "b", 30)
    assert long < short + 40
    assert long < 500


@pytest.mark.campaign
@pytest.mark.parametrize(("width", "height", "fps", "max_frames"), [(3840, 2160, 60, 150), (1920, 1080, 30, 600)])
def test_large_clips_stay_under_a_gigabyte(tmp_path: Path, width: int, height: int, fps: int, max_frames: int) -> None:
    image = wall(height, width + 480)
    there = [image[:, x : x + width] for x in range(0, 480, 16)]
    clip = write_looped(tmp_path / "clip.mp4", there + there[::-1], 20, fps=fps)
    assert _peak_mb(clip, tmp_path / "out", max_frames) < 1000
