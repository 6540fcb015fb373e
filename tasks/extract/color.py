"""Decoded frames to 8-bit sRGB: the right matrix and range, wide gamuts and HDR included."""

from dataclasses import dataclass

import av
import av.video.frame
import cv2
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import Colorspace, ColorPrimaries, ColorRange, ColorTrc, Interpolation

_QUALITY = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
_MATRICES = {1: Colorspace.ITU709, 4: Colorspace.FCC, 5: Colorspace.ITU601, 6: Colorspace.ITU601}
_MATRICES |= {7: Colorspace.SMPTE240M, 9: Colorspace.BT2020, 10: Colorspace.BT2020}
_WIDE_PRIMARIES = {ColorPrimaries.BT2020, ColorPrimaries.SMPTE431, ColorPrimaries.SMPTE432}

REFERENCE_WHITE_NITS = 203.0  # ITU-R BT.2408: diffuse white in HLG and PQ; becomes the top of the SDR range
_HLG_PEAK_NITS = 1000.0
# ITU-R BT.2087, linear BT.2020 to linear BT.709.
_BT709_FROM_BT2020 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]], np.float32
)


@dataclass(frozen=True, kw_only=True)
class ColorTags:
    """How the frames of one clip code their colours, as tagged or, where untagged, as players assume."""

    transfer: str  # "sdr", "hlg", "pq"
    matrix: int  # Colorspace of swscale
    primaries: int  # ColorPrimaries
    full_range: bool
    rgb: bool  # decoded to RGB already
    peak_nits: float  # HDR: the brightest the clip says it holds
    assumed: bool  # True: no matrix was tagged


def read_tags(frame: av.video.frame.VideoFrame) -> ColorTags:
    """The colour coding of `frame`.

    An untagged matrix is BT.709 from 720 lines up and BT.601 below, the rule that players follow. HDR without
    primaries is BT.2020.
    """
    transfer = {ColorTrc.ARIB_STD_B67: "hlg", ColorTrc.SMPTE2084: "pq"}.get(frame.color_trc, "sdr")
    rgb = frame.format.is_rgb
    assumed = frame.colorspace not in _MATRICES
    if not assumed:
        matrix = _MATRICES[frame.colorspace]
    elif transfer != "sdr":
        matrix = Colorspace.BT2020
    else:
        matrix = Colorspace.ITU709 if min(frame.width, frame.height) >= 720 else Colorspace.ITU601
    primaries = frame.color_primaries
    if transfer != "sdr" and primaries in (0, ColorPrimaries.UNSPECIFIED):
        primaries = int(ColorPrimaries.BT2020)
    return ColorTags(
        transfer=transfer,
        matrix=int(matrix),
        primaries=int(primaries),
        full_range=frame.color_range == ColorRange.JPEG or "yuvj" in frame.format.name,
        rgb=rgb,
        peak_nits=_HLG_PEAK_NITS if transfer == "hlg" else _pq_peak(frame),
        assumed=assumed and not rgb,
    )


def _pq_peak(frame: av.video.frame.VideoFrame) -> float:
    """Brightest pixel in cd/m2 from the content light level or the mastering display, else 1,000."""
    peak = 0.0
    for data in frame.side_data:
        raw = bytes(data) if data.type in (Type.CONTENT_LIGHT_LEVEL, Type.MASTERING_DISPLAY_METADATA) else b""
        if data.type == Type.CONTENT_LIGHT_LEVEL and len(raw) >= 4:
            peak = float(np.frombuffer(raw[:4], "=u4")[0]) or peak
        elif data.type == Type.MASTERING_DISPLAY_METADATA and len(raw) >= 80 and not peak:
            numerator, denominator = np.frombuffer(raw[72:80], "=i4")
            peak = float(numerator) / float(denominator) if denominator > 0 else 0.0
    return float(np.clip(peak, 400.0, 4000.0)) if peak > 0 else 1000.0


class SrgbConverter:
    """Turns frames of one clip into (H, W, 3) uint8 sRGB arrays of one size, still in coded orientation."""

    def __init__(self, tags: ColorTags, width: int, height: int) -> None:
        self.tags = tags
        self.width = width
        self.height = height
        self._tone_map = ToneMap(tags.transfer, tags.peak_nits) if tags.transfer != "sdr" else None

    def __call__(self, frame: av.video.frame.VideoFrame) -> np.ndarray:
        """(height, width, 3) uint8."""
        tags = self.tags
        smaller = self.width < frame.width or self.height < frame.height
        arguments: dict = {
            "width": self.width,
            "height": self.height,
            "interpolation": int((Interpolation.AREA if smaller else Interpolation.BICUBIC) | _QUALITY),
        }
        if not tags.rgb:
            arguments["src_colorspace"] = tags.matrix
            arguments["src_color_range"] = int(ColorRange.JPEG if tags.full_range else ColorRange.MPEG)
        if self._tone_map is not None:
            coded = frame.reformat(format="rgb48le", **arguments).to_ndarray()  # (H, W, 3) uint16
            return self._tone_map(coded, bt2020=tags.primaries == ColorPrimaries.BT2020)
        if tags.primaries in _WIDE_PRIMARIES:
            arguments["dst_color_primaries"] = int(ColorPrimaries.BT709)
            arguments["dst_color_trc"] = int(frame.color_trc)
        return frame.reformat(format="rgb24", **arguments).to_ndarray()


class ToneMap:
    """HDR code values to 8-bit sRGB: to display light, to BT.709, rolled off below `REFERENCE_WHITE_NITS`, to sRGB.

    The roll-off is the EETF of ITU-R BT.2390 on the largest of R, G and B, so hues stay and nothing clips; what is
    darker than its knee (about half of diffuse white) keeps its light exactly.
    """

    def __init__(self, transfer: str, peak_nits: float) -> None:
        codes = np.arange(65536, dtype=np.float64) / 65535
        self._hlg = transfer == "hlg"
        self._light = (_hlg_scene_light(codes) if self._hlg else pq_eotf(codes)).astype(np.float32)
        self._peak = np.float32(peak_nits)
        roots = np.linspace(0, 1, 4097)
        nits = np.maximum(roots**2 * peak_nits, 1e-6)
        self._gain = (eetf(nits, peak_nits) / nits / REFERENCE_WHITE_NITS).astype(np.float32)
        self._srgb = np.round(255 * srgb_oetf(np.linspace(0, 1, 4097) ** 2)).astype(np.uint8)

    def __call__(self, coded: np.ndarray, *, bt2020: bool = True) -> np.ndarray:
        """coded: (H, W, 3) uint16, R'G'B' over the full range.  Returns (H, W, 3) uint8."""
        light = np.take(self._light, coded)  # (H, W, 3) cd/m2, or scene light in [0, 1] for HLG
        if self._hlg:  # OOTF of ITU-R BT.2100 for a display of 1,000 cd/m2: system gamma 1.2
            luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
            light *= (_HLG_PEAK_NITS * np.maximum(luminance, 1e-6) ** 0.2)[..., None]
        if bt2020:
            light = np.asarray(cv2.transform(light, _BT709_FROM_BT2020))
        np.clip(light, 0, self._peak, out=light)
        brightest = light.max(axis=2)
        index = (np.sqrt(brightest / self._peak) * 4096 + 0.5).astype(np.uint16)
        light *= np.take(self._gain, index)[..., None]
        return np.take(self._srgb, (np.sqrt(np.minimum(light, 1)) * 4096 + 0.5).astype(np.uint16))


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
