"""Upright pictures from a display matrix (ISO/IEC 14496-12, 8.3.2; FFmpeg `libavutil/display.h`)."""

import struct
from dataclasses import dataclass
from typing import cast

import numpy as np
from av.sidedata.sidedata import SideData, Type
from av.video.frame import VideoFrame


@dataclass(frozen=True, kw_only=True)
class Orientation:
    """One of the eight ways to turn or mirror a picture: transpose first, then flip."""

    transpose: bool = False
    flip_x: bool = False  # left and right
    flip_y: bool = False  # top and bottom

    @property
    def rotation_deg(self) -> int:
        """Clockwise turn that the picture needs: 0, 90, 180 or 270; of a mirrored one, after mirroring in x."""
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    @property
    def mirrored(self) -> bool:
        """True if the picture is also mirrored (a selfie camera's matrix)."""
        return self.transpose ^ self.flip_x ^ self.flip_y

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the upright picture."""
        return (height, width) if self.transpose else (width, height)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """The upright picture, contiguous.  image: (H, W) or (H, W, C)"""
        if self.transpose:
            image = image.swapaxes(0, 1)
        if self.flip_x:
            image = image[:, ::-1]
        if self.flip_y:
            image = image[::-1]
        return np.ascontiguousarray(image)


def from_matrix(a: float, b: float, c: float, d: float) -> Orientation:
    """The nearest of the eight to the map x' = a x + c y, y' = b x + d y (x right, y down)."""
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(flip_x=a < 0, flip_y=d < 0)
    return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)


def side_data(frame: VideoFrame) -> list[SideData]:
    """What the decoder attached to the frame. (A container typed as a mapping, that iterates over its values.)"""
    return cast(list[SideData], list(frame.side_data))


def of_frame(frame: VideoFrame) -> Orientation:
    """The orientation that the frame's own side data asks for."""
    for data in side_data(frame):
        if data.type == Type.DISPLAYMATRIX and data.buffer_size >= 36:
            a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data)[:36])
            if (a, b, c, d) != (0, 0, 0, 0):
                return from_matrix(a, b, c, d)
    return Orientation()
