"""Colours: every coding of the same picture gives the same sRGB values, and HDR follows the standards."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame

from tasks.extract.color import read_tags
from tasks.extract.tonemap import (
    REFERENCE_WHITE_NITS,
    TableFilter,
    ToneMap,
    eetf,
    pq_eotf,
    pq_inverse_eotf,
    srgb_oetf,
)
from tests.extract.clips import write_yuv

LUMA = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
PATCHES = np.array(
    [[250, 250, 250], [128, 128, 128], [20, 20, 20], [200, 40, 40], [40, 180, 60], [50, 60, 200], [230, 200, 60]], float
)


def _patches(height: int = 192) -> np.ndarray:
    """(H, 64 * 7, 3) in [0, 255]: flat columns over a fine texture that makes motion visible."""
    image = np.repeat(np.repeat(PATCHES[None], height, axis=0), 64, axis=1)
    image[:24] += 20 * (np.random.default_rng(0).random((24, image.shape[1], 1)) - 0.5)
    return np.clip(image, 0, 255)


def _yuv(rgb: np.ndarray, matrix: int, *, full: bool, bits: int = 8) -> np.ndarray:
    """(3, H, W) of R'G'B' in [0, 1], from the definition in ITU-R BT.601, BT.709 and BT.2020."""
    kr, kb = LUMA[matrix]
    y = kr * rgb[..., 0] + (1 - kr - kb) * rgb[..., 1] + kb * rgb[..., 2]
    cb, cr = (rgb[..., 2] - y) / (2 - 2 * kb), (rgb[..., 0] - y) / (2 - 2 * kr)
    top, unit = 2**bits - 1, 2 ** (bits - 8)
    if full:
        planes = [y * top, cb * top + 128 * unit, cr * top + 128 * unit]
    else:
        planes = [(16 + 219 * y) * unit, (128 + 224 * cb) * unit, (128 + 224 * cr) * unit]
    return np.clip(np.round(planes), 0, top).astype(np.uint8 if bits == 8 else np.uint16)


def _read_back(image: np.ndarray) -> np.ndarray:
    """(7, 3): the middle of each patch, of a frame that has moved by a few pixels at most."""
    return np.stack([image[100:160, 64 * i + 24 : 64 * i + 40].mean(axis=(0, 1)) for i in range(7)])


@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
@pytest.mark.parametrize("full", [False, True])
def test_matrix_and_range_are_honoured(tmp_path: Path, run: Callable, matrix: int, full: bool) -> None:
    planes = _yuv(_patches() / 255, matrix, full=full)
    clip = write_yuv(
        tmp_path / "clip.mkv", planes, pixel_format="yuv444p", colorspace=matrix, color_range=2 if full else 1
    )
    assert np.abs(_read_back(run(clip).image()) - PATCHES).max() < 2.5


def test_ten_bits(tmp_path: Path, run: Callable) -> None:
    planes = _yuv(_patches() / 255, 1, full=False, bits=10)
    clip = write_yuv(tmp_path / "clip.mkv", planes, pixel_format="yuv444p10le", colorspace=1, color_range=1)
    assert np.abs(_read_back(run(clip).image()) - PATCHES).max() < 2.5


@pytest.mark.parametrize(("height", "matrix"), [(192, 6), (720, 1)])
def test_untagged_is_read_as_players_do(tmp_path: Path, run: Callable, height: int, matrix: int) -> None:
    image = np.concatenate([_patches(height), _patches(height)], axis=1)  # wide enough for 720 on the short side
    clip = write_yuv(tmp_path / "clip.mkv", _yuv(image / 255, matrix, full=False), pixel_format="yuv444p")
    result = run(clip)
    assert np.abs(_read_back(result.image()) - PATCHES).max() < 2.5
    assert result.report["source"]["matrix_assumed"]


def test_display_p3_is_brought_to_srgb(tmp_path: Path, run: Callable) -> None:
    planes = _yuv(_patches() / 255, 1, full=False)
    tags = {"colorspace": 1, "color_range": 1, "transfer": 1}
    clip = write_yuv(tmp_path / "clip.mkv", planes, pixel_format="yuv444p", primaries=12, **tags)
    seen = _read_back(run(clip).image())
    assert np.abs(seen[:3] - PATCHES[:3]).max() < 3  # greys stay
    assert seen[3, 0] > 205  # the red of P3 is redder than that of sRGB
    assert seen[3, 1] < 35


@pytest.mark.parametrize(("transfer", "name"), [(16, "pq"), (18, "hlg")])
def test_hdr_frames_are_the_reference_tone_map(tmp_path: Path, run: Callable, transfer: int, name: str) -> None:
    coded = _patches() / 255 * 0.75
    planes = _yuv(coded, 9, full=False, bits=10)
    tags = {"colorspace": 9, "color_range": 1, "transfer": transfer, "primaries": 9}
    result = run(write_yuv(tmp_path / "clip.mkv", planes, pixel_format="yuv444p10le", **tags))
    assert result.report["source"]["transfer"] == name
    expected = 255 * ToneMap(name, 1000.0)(PATCHES / 255 * 0.75)
    assert np.abs(_read_back(result.image()) - expected).max() < 4


def test_pq_round_trip_and_known_points() -> None:
    nits = np.array([0.005, 0.1, 1, 100, 203, 1000, 10000])
    assert pq_eotf(pq_inverse_eotf(nits)) == pytest.approx(nits, rel=1e-6)
    assert pq_inverse_eotf(np.array([100.0, 203.0, 1000.0])) == pytest.approx(
        [0.508, 0.581, 0.752], abs=1e-3
    )  # BT.2408


def test_roll_off_is_monotone_ends_at_white_and_keeps_the_dark() -> None:
    nits = np.linspace(0.01, 1000, 2000)
    mapped = eetf(nits, 1000)
    assert np.all(np.diff(mapped) > 0)
    assert mapped[-1] == pytest.approx(REFERENCE_WHITE_NITS, rel=1e-3)
    dark = nits < 80
    assert mapped[dark] == pytest.approx(nits[dark], rel=1e-6)
    assert np.all(mapped <= nits * (1 + 1e-9))


@pytest.mark.parametrize("name", ["pq", "hlg"])
def test_tone_map_keeps_greys_grey_and_order(name: str) -> None:
    grey = np.repeat(np.linspace(0, 0.7, 50)[:, None], 3, axis=1)
    mapped = ToneMap(name, 1000.0)(grey)
    assert np.abs(mapped - mapped[:, :1]).max() < 2e-3
    assert np.all(np.diff(mapped[:, 0]) >= 0)


def test_hlg_reference_white_is_nearly_white() -> None:
    # BT.2408: 75 % HLG is diffuse white, 38 % is the 18 % grey card.
    white, grey = ToneMap("hlg", 1000.0)(np.array([[0.75] * 3, [0.38] * 3]))[:, 0]
    assert 0.85 < white < 0.97
    assert grey == pytest.approx(srgb_oetf(np.array(26 / 203)), abs=0.03)


@pytest.mark.parametrize("name", ["pq", "hlg"])
def test_the_fast_tone_map_is_the_exact_one(name: str) -> None:
    rng = np.random.default_rng(3)
    coded = rng.uniform(0.05, 0.75, (64, 96, 3))
    reference = ToneMap(name, 1000.0)
    frame = VideoFrame(96, 64, "gbrp16le")
    for plane, channel in zip(frame.planes, (1, 2, 0), strict=True):
        line = np.zeros((64, plane.line_size // 2), np.uint16)
        line[:, :96] = np.round(coded[..., channel] * 65535)
        plane.update(line.tobytes())
    mapped = TableFilter(reference, 96, 64)(frame).to_ndarray(format="rgb24")
    error = np.abs(mapped.astype(float) - 255 * reference(coded))
    assert error.mean() < 1
    assert np.percentile(error, 99) < 6


def test_hdr_without_primaries_is_bt2020() -> None:
    frame = VideoFrame(16, 16, "yuv420p10le")
    frame.color_trc = 18
    tags = read_tags(frame)
    assert (tags.transfer, tags.primaries, tags.matrix) == ("hlg", 9, 9)
