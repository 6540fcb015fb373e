"""Shared helpers of the extract tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.extract.options import ExtractOptions
from tasks.extract.record import ExtractRecord
from tasks.extract.step import extract
from tests.extract.clips import nothing


class Extracted:
    """The outcome of one extract."""

    def __init__(self, record: ExtractRecord, folder: Path) -> None:
        self.record = record
        self.folder = folder
        self.report: dict[str, Any] = json.loads((folder / "extract.json").read_text(encoding="utf-8"))
        self.files = sorted((folder / "frames").iterdir())

    def image(self, which: int = 0) -> np.ndarray:
        """(H, W, 3) uint8"""
        with Image.open(self.files[which]) as image:
            assert image.mode == "RGB"
            return np.asarray(image)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Extracted]:
    """Extract `source` with the given options and check what holds for every outcome."""

    def go(source: Path, **options: Any) -> Extracted:
        out = tmp_path / "extracted"
        record = extract(source, out, ExtractOptions(**options), nothing)
        result = Extracted(record, out)
        names = [frame["name"] for frame in result.report["frames"]]
        assert names == [path.name for path in result.files]
        assert record.frames_kept == len(names) == result.report["frames_kept"]
        assert record.frames_kept <= options.get("max_frames", 150)
        assert sorted(path.name for path in out.iterdir()) == ["extract.json", "frames"]
        times = [frame["time_s"] for frame in result.report["frames"] if frame["time_s"] is not None]
        assert times == sorted(times)
        return result

    return go


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., Exception]:
    """Extract `source`, expect the given error, and check that nothing is left behind."""

    def go(source: Path, error: type[Exception], **options: Any) -> Exception:
        out = tmp_path / "results" / "extracted"
        with pytest.raises(error) as caught:
            extract(source, out, ExtractOptions(**options), nothing)
        assert not out.parent.exists()
        sentence = str(caught.value)
        assert sentence.endswith(".")
        assert len(sentence) > 20
        return caught.value

    return go
