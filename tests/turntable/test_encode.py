"""The video file: its colours are those of the frames, its index is in front, and players are told what it is."""

import errno
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from tasks.errors import VideoEncoderMissing
from tasks.turntable import encode as room
from tasks.turntable.encode import ENCODERS, choose_encoder, encode

COLORS = [(255, 255, 255), (0, 0, 0), (200, 30, 60), (20, 180, 40), (10, 40, 220), (128, 128, 128), (240, 200, 20)]
HERE = [encoder for encoder in ENCODERS if encoder.name in av.codecs_available]


def flat() -> Iterator[np.ndarray]:
    for color in COLORS:
        yield np.full((96, 160, 3), color, np.uint8)


@pytest.mark.parametrize("encoder", HERE, ids=[encoder.name for encoder in HERE])
def test_colours_come_back(tmp_path: Path, encoder: room.Encoder) -> None:
    path = tmp_path / "flat.mp4"
    encode(path, flat(), encoder, width=160, height=96, fps=24)
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert [round(frame.time * 24) for frame in frames] == list(range(len(COLORS)))
    for frame, color in zip(frames, COLORS, strict=True):
        assert (frame.width, frame.height, frame.format.name) == (160, 96, "yuv420p")
        assert (frame.color_range, frame.colorspace) == (ColorRange.MPEG, Colorspace.ITU709)
        assert (frame.color_primaries, frame.color_trc) == (ColorPrimaries.BT709, ColorTrc.BT709)
        shown = frame.to_ndarray(format="rgb24")[8:-8, 8:-8].reshape(-1, 3).astype(int)
        assert np.abs(shown - color).max() <= 2
        # not only tagged: the luma is that of BT.709 in the limited range, whoever reads it
        luma = frame.to_ndarray()[8:88, 8:152].mean()
        assert luma == pytest.approx(16 + 219 * np.dot([0.2126, 0.7152, 0.0722], color) / 255, abs=1.0)


def test_the_index_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "flat.mp4"
    encode(path, flat(), choose_encoder(), width=160, height=96, fps=30)
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    assert b"colr" in data[: data.index(b"mdat")]


def test_without_an_encoder_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.av, "codecs_available", {"mpeg4", "libsvtav1"})
    assert choose_encoder().name == "libsvtav1"
    monkeypatch.setattr(room.av, "codecs_available", {"mpeg4"})
    with pytest.raises(VideoEncoderMissing, match="pip install av"):
        choose_encoder()


def test_a_full_disk_is_an_error_of_the_system() -> None:
    """So that it is told as such, like any other file's."""
    with pytest.raises(OSError, match="No space left") as told:
        encode(Path("/dev/full"), flat(), choose_encoder(), width=160, height=96, fps=24)
    assert told.value.errno == errno.ENOSPC
