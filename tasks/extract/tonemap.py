"""HDR (HLG and PQ, ITU-R BT.2100) and wide gamuts to 8-bit sRGB."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

REFERENCE_WHITE_NITS = 203.0  # ITU-R BT.2408: diffuse white in HLG and PQ; becomes the top of the SDR range
HLG_PEAK_NITS = 1000.0
# ITU-R BT.2087, linear BT.2020 to linear BT.709.
_BT709_FROM_BT2020 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]], np.float32
)
# CSS Color 4, from its definition of the primaries: linear Display P3 to linear BT.709.
_BT709_FROM_P3 = np.array(
    [[1.224940, -0.224940, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]], np.float32
)
_BT2020_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
_GRID = 65  # points of the table per axis; its values differ from the exact ones by less than a grey level on average


class ToneMap:
    """HDR code values to sRGB: to display light, to BT.709, rolled off to end at `REFERENCE_WHITE_NITS`, to sRGB.

    The roll-off is the EETF of ITU-R BT.2390 on the largest of R, G and B, so hues stay and nothing clips; what is
    darker than its knee (about half of diffuse white) keeps its light exactly. Exact and slow: `TableFilter` is
    the fast form, tested against this.
    """

    def __init__(self, transfer: str, peak_nits: float, *, bt2020: bool = True) -> None:
        self._hlg = transfer == "hlg"
        self._peak = peak_nits
        self._bt2020 = bt2020

    def __call__(self, coded: np.ndarray) -> np.ndarray:
        """coded: (..., 3) R'G'B' in [0, 1].  Returns (..., 3) sRGB in [0, 1]."""
        if self._hlg:  # the OOTF for a display of 1,000 cd/m2: system gamma 1.2
            scene = _hlg_scene_light(coded)
            light = HLG_PEAK_NITS * np.maximum(scene @ _BT2020_LUMINANCE, 1e-9)[..., None] ** 0.2 * scene
        else:
            light = pq_eotf(coded)
        if self._bt2020:
            light = light @ _BT709_FROM_BT2020.T
        light = np.clip(light, 0, self._peak)
        brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
        return srgb_oetf(np.clip(light * eetf(brightest, self._peak) / brightest / REFERENCE_WHITE_NITS, 0, 1))


class GamutMap:
    """SDR values in a wide gamut to BT.709 primaries; greys stay as they are, what lies outside is clipped.

    Light is taken as the power 2.2 of the code both ways, close to what displays make of any SDR transfer.
    """

    def __init__(self, *, bt2020: bool) -> None:
        self._matrix = _BT709_FROM_BT2020 if bt2020 else _BT709_FROM_P3

    def __call__(self, coded: np.ndarray) -> np.ndarray:
        """coded: (..., 3) in [0, 1].  Returns (..., 3) in [0, 1]."""
        return np.clip(np.maximum(coded, 0) ** 2.2 @ self._matrix.T, 0, 1) ** (1 / 2.2)


class TableFilter:
    """A map of colours as a table in three dimensions, applied by FFmpeg's tetrahedral `lut3d`: six times faster."""

    def __init__(self, color_map: Callable[[np.ndarray], np.ndarray], width: int, height: int) -> None:
        axis = np.linspace(0, 1, _GRID)
        blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # the file wants red to change fastest
        table = color_map(np.stack([red, green, blue], axis=-1)).reshape(-1, 3)
        template = "%.5f %.5f %.5f\n" * len(table)
        lines = template % tuple(table.ravel().tolist())  # one formatting of 800,000 numbers: three times faster
        self._graph = Graph()
        source = self._graph.add("buffer", f"video_size={width}x{height}:pix_fmt=gbrp16le:time_base=1/1000")
        with tempfile.TemporaryDirectory(prefix="splatflow-") as folder:
            path = Path(folder) / "table.cube"
            path.write_text(f"LUT_3D_SIZE {_GRID}\n{lines}", encoding="ascii")
            lut = self._graph.add("lut3d", file=str(path), interp="tetrahedral")  # read here, not needed later
        sink = self._graph.add("buffersink")
        source.link_to(lut)
        lut.link_to(sink)
        self._graph.configure()
        self._frames = 0
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        """frame: `gbrp16le`, coded R'G'B'.  Returns `gbrp`, sRGB."""
        frame.pts = self._frames
        self._frames += 1
        self._graph.push(frame)
        mapped = self._graph.pull()
        assert isinstance(mapped, av.VideoFrame)
        return self._reformatter.reformat(mapped, format="gbrp")


def pq_eotf(code: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: non-linear code in [0, 1] to cd/m2."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = np.clip(code, 0, 1) ** (1 / m2)
    return 10000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)


def pq_inverse_eotf(nits: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: cd/m2 to non-linear code in [0, 1]."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = (np.asarray(nits) / 10000) ** m1
    return ((c1 + c2 * power) / (1 + c3 * power)) ** m2


def _hlg_scene_light(code: np.ndarray) -> np.ndarray:
    """Inverse OETF of ITU-R BT.2100 HLG: code in [0, 1] to scene light in [0, 1]."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)


def eetf(nits: np.ndarray, peak_nits: float) -> np.ndarray:
    """ITU-R BT.2390, 5.4.1: light of a source with this peak to light of a display that ends at reference white."""
    source = pq_inverse_eotf(np.asarray(peak_nits))
    e1 = pq_inverse_eotf(nits) / source
    top = float(pq_inverse_eotf(np.asarray(REFERENCE_WHITE_NITS)) / source)
    if top >= 1:
        return np.asarray(nits)
    knee = 1.5 * top - 0.5
    t = np.clip((e1 - knee) / (1 - knee), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * top
    return pq_eotf(np.where(e1 < knee, e1, spline) * source)


def srgb_oetf(light: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1: linear light in [0, 1] to the sRGB code in [0, 1]."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
