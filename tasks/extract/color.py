"""Decoded frames to 8-bit sRGB: the right matrix and range, wide gamuts and HDR included."""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter

from tasks.extract.orient import side_data
from tasks.extract.tonemap import HLG_PEAK_NITS, GamutMap, TableFilter, ToneMap

_QUALITY = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
_MATRICES = {1: Colorspace.ITU709, 4: Colorspace.FCC, 5: Colorspace.ITU601, 6: Colorspace.ITU601}
_MATRICES |= {7: Colorspace.SMPTE240M, 9: Colorspace.BT2020, 10: Colorspace.BT2020}
_HDR = {int(ColorTrc.ARIB_STD_B67): "hlg", int(ColorTrc.SMPTE2084): "pq"}
_WIDE_PRIMARIES = {ColorPrimaries.BT2020, ColorPrimaries.SMPTE431, ColorPrimaries.SMPTE432}


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


def read_tags(frame: VideoFrame) -> ColorTags:
    """The colour coding of `frame`.

    An untagged matrix is BT.709 from 720 lines up and BT.601 below, the rule that players follow. HDR without
    primaries is BT.2020.
    """
    transfer = _HDR.get(frame.color_trc, "sdr")
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
        peak_nits=HLG_PEAK_NITS if transfer == "hlg" else _pq_peak(frame),
        assumed=assumed and not rgb,
    )


def _pq_peak(frame: VideoFrame) -> float:
    """Brightest pixel in cd/m2 from the content light level or the mastering display, else 1,000."""
    peak = 0.0
    for data in side_data(frame):
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
        self._reformatter = VideoReformatter()  # keeps swscale's tables from frame to frame
        self._table: TableFilter | None = None
        bt2020 = tags.primaries == ColorPrimaries.BT2020
        if tags.transfer != "sdr":
            self._table = TableFilter(ToneMap(tags.transfer, tags.peak_nits, bt2020=bt2020), width, height)
        elif tags.primaries in _WIDE_PRIMARIES:
            self._table = TableFilter(GamutMap(bt2020=bt2020), width, height)

    def __call__(self, frame: VideoFrame) -> np.ndarray:
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
            arguments["dst_color_range"] = int(ColorRange.JPEG)
        if self._table is not None:
            return _interleaved(self._table(self._reformatter.reformat(frame, format="gbrp16le", **arguments)))
        # Planar: swscale is two to three times faster at it than at rgb24, with the same values.
        return _interleaved(self._reformatter.reformat(frame, format="gbrp", **arguments))


def _interleaved(frame: VideoFrame) -> np.ndarray:
    """(H, W, 3) uint8 of a frame in `gbrp`."""
    green, blue, red = (_plane(plane, frame.width, frame.height) for plane in frame.planes)
    return np.asarray(cv2.merge([red, green, blue]))


def _plane(plane: VideoPlane, width: int, height: int) -> np.ndarray:
    """(H, W) uint8, a view."""
    return np.frombuffer(cast(memoryview, plane), np.uint8).reshape(height, plane.line_size)[:, :width]
