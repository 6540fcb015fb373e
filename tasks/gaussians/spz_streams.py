"""The six streams of an SPZ file: Gaussians to bytes and back.

Source: the format description and reference encoder of Niantic (nianticlabs/spz, MIT). The arithmetic is float32 and
rounds half away from zero, as that encoder's, so that the bytes are equal. SPZ holds RUB, our world is RDF.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.errors import BadScene
from tasks.gaussians.frames import FLIP, FLIP_SH, normalised, sigmoid
from tasks.gaussians.model import COEFFS_OF_DEGREE, Gaussians

FRACTIONAL_BITS = 12
ROWS_AT_ONCE = 1 << 13
MAX_STEPS = (1 << 23) - 1  # of a 24-bit signed position
COLOR_SCALE = np.float32(0.15)
SQRT_HALF = np.float32(0.70710678118654752)
LEAST_ALPHA = 1 / 1020  # a quarter of a step: what 0 and 255 are read as (1 minus it), since a logit must be finite
BUCKETS = np.repeat([8, 16], [3, 12]).astype(np.int32)  # quantisation steps of coefficients 1 to 15

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Streams:
    """The arrays of an SPZ file as they lie in it, N Gaussians.

    Attributes:
        version: 1 to 4; decides the width of positions (1: float16) and rotations (1, 2: three bytes).
        sh_degree: 0 to 3.
        fractional_bits: of the 24-bit positions.
        antialiased: trained with the antialiased rasteriser.
        positions: (N, 9), or (N, 6) in version 1.
        alphas: (N, 1).
        colors: (N, 3).
        scales: (N, 3).
        rotations: (N, 4), or (N, 3) in versions 1 and 2.
        sh: (N, 3 (K - 1)) coefficient-major, colour inner.
    """

    version: int
    sh_degree: int
    fractional_bits: int
    antialiased: bool
    positions: Bytes
    alphas: Bytes
    colors: Bytes
    scales: Bytes
    rotations: Bytes
    sh: Bytes

    def arrays(self) -> tuple[Bytes, ...]:
        """In the order of the file."""
        return (self.positions, self.alphas, self.colors, self.scales, self.rotations, self.sh)


def widths(version: int, sh_degree: int) -> tuple[int, ...]:
    """Bytes a Gaussian has in each stream, in the order of the file."""
    return (6 if version == 1 else 9, 1, 3, 3, 4 if version >= 3 else 3, 3 * (COEFFS_OF_DEGREE[sh_degree] - 1))


def quantise(gaussians: Gaussians, *, antialiased: bool = False, most_bits: int = FRACTIONAL_BITS) -> Streams:
    """Version 3 streams of finite Gaussians in the RDF world.

    Positions have `most_bits` fractional bits, fewer where the scene is so large (with 12: beyond 2,048 units) that they
    would wrap. Raises BadScene when a position is beyond 8 million units, the most that SPZ can hold.
    """
    bits = fractional_bits(gaussians.means, most_bits)
    count, coeffs = len(gaussians), gaussians.sh_coeffs.shape[1]
    arrays = [np.empty((count, width), np.uint8) for width in widths(3, gaussians.sh_degree)]
    positions, alphas, colors, scales, rotations, sh = arrays
    for begin in range(0, count, ROWS_AT_ONCE):  # keeps the float64 between in the cache, and out of the memory
        rows = slice(begin, begin + ROWS_AT_ONCE)
        fixed = _round(gaussians.means[rows] * FLIP * np.float32(1 << bits)).astype("<i4")  # (n, 3)
        positions[rows] = fixed.view(np.uint8).reshape(-1, 3, 4)[:, :, :3].reshape(-1, 9)
        rotations[rows] = _smallest_three(gaussians.quats[rows])
        with np.errstate(over="ignore"):  # infinities on the way are clamped
            alphas[rows, 0] = _to_uint8(sigmoid(gaussians.opacities[rows]) * np.float32(255))
            base = gaussians.sh_coeffs[rows, 0]
            colors[rows] = _to_uint8(base * (COLOR_SCALE * np.float32(255)) + np.float32(127.5))
            scales[rows] = _to_uint8((gaussians.scales[rows] + np.float32(10)) * np.float32(16))
            sh[rows] = _quantise_sh(gaussians.sh_coeffs[rows, 1:] * FLIP_SH[: coeffs - 1, None])
    return Streams(
        version=3,
        sh_degree=gaussians.sh_degree,
        fractional_bits=bits,
        antialiased=antialiased,
        positions=positions,
        alphas=alphas,
        colors=colors,
        scales=scales,
        rotations=rotations,
        sh=sh,
    )


def dequantise(streams: Streams) -> Gaussians:
    """Gaussians in the RDF world."""
    count = len(streams.positions)
    if streams.version == 1:
        means = streams.positions.view("<f2").astype(np.float32)
    else:
        wide = np.zeros((count, 3, 4), np.uint8)
        wide[:, :, 1:] = streams.positions.reshape(count, 3, 3)  # in the upper bytes, so that a shift brings the sign
        fixed = wide.view("<i4")[:, :, 0] >> 8
        means = fixed.astype(np.float32) * np.float32(2.0**-streams.fractional_bits)
    alphas = np.clip(streams.alphas[:, 0] / 255, LEAST_ALPHA, 1 - LEAST_ALPHA)
    colors = (streams.colors.astype(np.float32) / np.float32(255) - np.float32(0.5)) / COLOR_SCALE
    sh = (streams.sh.astype(np.float32) - np.float32(128)) / np.float32(128)
    sh = sh.reshape(count, -1, 3) * FLIP_SH[: streams.sh.shape[1] // 3, None]
    quats = _from_smallest_three(streams.rotations) if streams.version >= 3 else _from_xyz(streams.rotations)
    return Gaussians(
        means=means * FLIP,
        quats=quats,
        scales=streams.scales.astype(np.float32) / np.float32(16) - np.float32(10),
        opacities=np.log(alphas / (1 - alphas)).astype(np.float32),
        sh_coeffs=np.concatenate([colors[:, None], sh], 1),
    )


def fractional_bits(means: NDArray[np.float32], most: int = FRACTIONAL_BITS) -> int:
    """The most fractional bits, up to `most`, with which no position (N, 3) wraps; BadScene when even 0 are too many."""
    reach = float(np.abs(means).max(initial=0.0))
    for bits in range(most, -1, -1):
        if np.floor(np.float64(reach) * (1 << bits) + 0.5) <= MAX_STEPS:
            return bits
    raise BadScene(f"The scene reaches {reach:.3g} units from its origin, more than SPZ can hold; scale it down first.")


def _round(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """C's `round`: half away from zero. In float64, where adding a half is exact."""
    exact = values.astype(np.float64)
    return np.copysign(np.floor(np.abs(exact) + 0.5), exact)


def _to_uint8(values: NDArray[np.float32]) -> Bytes:
    return np.clip(_round(values), 0, 255).astype(np.uint8)


def _quantise_sh(sh: NDArray[np.float32]) -> Bytes:
    """(N, K-1, 3) RUB coefficients -> (N, 3 (K-1)) bytes in buckets."""
    bucket = BUCKETS[: sh.shape[1], None]
    steps = np.clip(_round(sh * np.float32(128)), -1024, 1024).astype(np.int32) + 128
    steps = (steps + bucket // 2) // bucket * bucket
    return np.clip(steps, 0, 255).astype(np.uint8).reshape(len(sh), 3 * sh.shape[1])


def _smallest_three(quats: NDArray[np.float32]) -> Bytes:
    """(N, 4) RDF wxyz, any length -> (N, 4) bytes of the u32 with two bits of index and three of ten bits."""
    xyzw = normalised(quats)[:, [1, 2, 3, 0]] * np.array([1, -1, -1, 1], np.float32)
    largest = np.abs(xyzw).argmax(1)  # the first of equals, as the reference
    rows = np.arange(len(xyzw))
    xyzw *= np.where(xyzw[rows, largest] < 0, np.float32(-1), np.float32(1))[:, None]
    packed = largest.astype(np.uint32)
    magnitudes = (np.float32(511) * (np.abs(xyzw) / SQRT_HALF) + np.float32(0.5)).astype(np.uint32)
    fields = (xyzw < 0).astype(np.uint32) << 9 | np.minimum(magnitudes, 511)
    for component in range(4):
        packed = np.where(largest == component, packed, packed << 10 | fields[:, component])
    return packed.astype("<u4").view(np.uint8).reshape(-1, 4)


def _from_smallest_three(rotations: Bytes) -> NDArray[np.float32]:
    """(N, 4) bytes -> (N, 4) RDF wxyz."""
    packed = np.ascontiguousarray(rotations).view("<u4")[:, 0]
    largest = packed >> 30
    xyzw = np.zeros((len(packed), 4), np.float32)
    for component in range(3, -1, -1):
        here = largest != component
        value = (packed & 511).astype(np.float32) * (SQRT_HALF / np.float32(511))
        xyzw[:, component] = np.where(here, np.where(packed & 512, -value, value), 0)
        packed = np.where(here, packed >> 10, packed)
    last = np.sqrt(np.maximum(1 - (xyzw**2).sum(1), 0))
    xyzw[np.arange(len(xyzw)), largest] = last
    return normalised(_rdf_wxyz(xyzw))


def _from_xyz(rotations: Bytes) -> NDArray[np.float32]:
    """(N, 3) bytes of versions 1 and 2 -> (N, 4) RDF wxyz."""
    xyz = rotations.astype(np.float32) / np.float32(127.5) - np.float32(1)
    w = np.sqrt(np.maximum(1 - (xyz**2).sum(1, keepdims=True), 0))
    return normalised(_rdf_wxyz(np.concatenate([xyz, w], 1)))


def _rdf_wxyz(xyzw: NDArray[np.float32]) -> NDArray[np.float32]:
    return (xyzw * np.array([1, -1, -1, 1], np.float32))[:, [3, 0, 1, 2]]
