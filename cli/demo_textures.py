"""Procedural colours for the demo scene: detail at many scales, since features are found where there is some.

A texture is a function of surface coordinates u, v (N,) in scene units and a seed to albedo (N, 3) in [0, 1].
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def hashed(ix: Array, iy: Array, seed: int) -> Array:
    """A number in [0, 1) for every lattice point, the same for the same seed on every machine."""
    # 32-bit integer mixing, wrapping on purpose (constants: MurmurHash3's finaliser)
    h = ix.astype(np.int64).astype(np.uint32) * np.uint32(0x9E3779B1)
    h ^= iy.astype(np.int64).astype(np.uint32) * np.uint32(0x85EBCA77)
    h ^= np.uint32((seed * 0x27D4EB2F) & 0xFFFFFFFF)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h ^= h >> np.uint32(shift)
        h *= np.uint32(factor)
    h ^= h >> np.uint32(16)
    return h.astype(np.float64) / 2**32


def noise(u: Array, v: Array, seed: int) -> Array:
    """Smooth value noise in [0, 1] with one bump per unit."""
    iu, iv = np.floor(u), np.floor(v)
    fu, fv = u - iu, v - iv
    su, sv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
    low = hashed(iu, iv, seed) * (1 - su) + hashed(iu + 1, iv, seed) * su
    high = hashed(iu, iv + 1, seed) * (1 - su) + hashed(iu + 1, iv + 1, seed) * su
    return low * (1 - sv) + high * sv


def fractal(u: Array, v: Array, seed: int, octaves: int = 4) -> Array:
    """Noise of several octaves in [0, 1], each half as strong as the one before."""
    total = sum(noise(u * 2.0**k, v * 2.0**k, seed + k) / 2.0**k for k in range(octaves))
    return np.asarray(total) / (2 - 2.0 ** (1 - octaves))


def mix(a: tuple[float, float, float], b: tuple[float, float, float], t: Array) -> Array:
    """Colours between a and b, (N, 3)."""
    t = np.clip(t, 0, 1)[:, None]
    return np.asarray(a) * (1 - t) + np.asarray(b) * t


def cells(u: Array, v: Array, seed: int) -> tuple[Array, Array]:
    """Cellular noise (Worley 1996): distance to the nearest point, one per unit square, and its hash."""
    iu, iv = np.floor(u), np.floor(v)
    best, label = np.full_like(u, np.inf), np.zeros_like(u)
    for du in (-1, 0, 1):
        for dv in (-1, 0, 1):
            pu, pv = iu + du, iv + dv
            distance = np.hypot(pu + hashed(pu, pv, seed) - u, pv + hashed(pu, pv, seed + 1) - v)
            nearer = distance < best
            best = np.where(nearer, distance, best)
            label = np.where(nearer, hashed(pu, pv, seed + 2), label)
    return best, label


def planks(u: Array, v: Array, seed: int) -> Array:
    """Floorboards along u."""
    row = np.floor(v / 0.28)
    shift = hashed(row, row * 0, seed) * 1.7
    board = np.floor((u + shift) / 1.7)
    grain = fractal(u * 3, v * 45, seed + 3)
    tone = 0.55 * hashed(row, board, seed + 5) + 0.45 * grain
    colour = mix((0.36, 0.20, 0.10), (0.80, 0.56, 0.33), tone)
    knots, label = cells(u * 1.6, v * 3.2, seed + 7)
    colour *= np.where((knots < 0.16) & (label > 0.5), 0.55 + 2 * knots, 1)[:, None]
    edge = np.minimum(
        np.abs(v / 0.28 - np.round(v / 0.28)) * 0.28, np.abs((u + shift) / 1.7 - board - 0.5) * -1.7 + 0.85
    )
    return colour * np.where(edge < 0.012, 0.35, 1)[:, None]


def bricks(u: Array, v: Array, seed: int) -> Array:
    """A brick wall; v goes up."""
    row = np.floor(v / 0.16)
    shifted = u / 0.42 + 0.5 * (row % 2)
    brick = np.floor(shifted)
    along, up = (shifted - brick) * 0.42, v - row * 0.16
    tone = 0.6 * hashed(brick, row, seed) + 0.4 * fractal(u * 9, v * 9, seed + 1)
    colour = mix((0.48, 0.17, 0.11), (0.86, 0.50, 0.36), tone)
    mortar = (np.minimum(along, 0.42 - along) < 0.014) | (np.minimum(up, 0.16 - up) < 0.014)
    grey = mix((0.62, 0.60, 0.56), (0.85, 0.83, 0.79), fractal(u * 20, v * 20, seed + 2))
    return np.where(mortar[:, None], grey, colour)


def wallpaper(u: Array, v: Array, seed: int) -> Array:
    """Teal stripes with leaves; below 0.8 a wooden panel."""
    stripe = np.floor(u / 0.35) % 2
    paper = mix((0.16, 0.40, 0.42), (0.22, 0.52, 0.52), stripe)
    leaf, label = cells(u * 3.1, v * 3.1, seed)
    paper = np.where((leaf < 0.26)[:, None], mix((0.93, 0.80, 0.45), (0.85, 0.45, 0.35), label), paper)
    paper *= (0.88 + 0.24 * fractal(u * 14, v * 14, seed + 3))[:, None]
    panel = mix((0.86, 0.84, 0.78), (0.97, 0.95, 0.90), fractal(u * 5, v * 26, seed + 4))
    panel *= np.where(np.abs(u / 0.6 - np.round(u / 0.6)) * 0.6 < 0.02, 0.6, 1)[:, None]
    trim = (v > 0.78) & (v < 0.84)
    return np.where(trim[:, None], np.array([0.45, 0.27, 0.15]), np.where((v < 0.8)[:, None], panel, paper))


def rug(u: Array, v: Array, seed: int) -> Array:
    """A round rug of rings and spokes; u, v from its centre."""
    radius, angle = np.hypot(u, v), np.arctan2(v, u)
    ring = np.floor(radius / 0.13)
    spokes = np.sin(angle * (6 + 4 * (ring % 4))) > np.cos(radius * 40)
    a = mix((0.55, 0.10, 0.14), (0.12, 0.16, 0.40), hashed(ring, ring * 0, seed))
    b = mix((0.92, 0.82, 0.60), (0.85, 0.55, 0.20), hashed(ring, ring * 0 + 1, seed))
    return np.where(spokes[:, None], b, a) * (0.75 + 0.5 * fractal(u * 24, v * 24, seed + 1, 2))[:, None]


def marble(u: Array, v: Array, seed: int) -> Array:
    """Swirled green stone with golden veins."""
    bend = 3 * fractal(u * 2, v * 2, seed)
    wave = 0.5 + 0.5 * np.sin(7 * (u + bend) + 5 * v)
    colour = mix((0.05, 0.28, 0.22), (0.62, 0.85, 0.66), wave * fractal(u * 7, v * 7, seed + 1) * 1.7)
    vein = np.abs(fractal(u * 3, v * 3, seed + 5) - 0.5) < 0.02
    return np.where(vein[:, None], np.array([0.95, 0.80, 0.40]), colour)


def crate(u: Array, v: Array, seed: int) -> Array:
    """Boards with nails and stencilled marks."""
    board = np.floor(v / 0.15)
    colour = mix(
        (0.55, 0.38, 0.20),
        (0.88, 0.70, 0.45),
        0.5 * hashed(board, board * 0, seed) + 0.5 * fractal(u * 5, v * 40, seed),
    )
    colour *= np.where(np.abs(v / 0.15 - np.round(v / 0.15)) * 0.15 < 0.01, 0.3, 1)[:, None]
    # "letters": 5 x 7 dots of random glyphs, mirrored so that they look drawn
    gu, gv = np.floor((u - 0.08) / 0.028), np.floor((v - 0.2) / 0.028)
    glyph, column = np.floor(gu / 7), gu % 7
    dots = hashed(np.minimum(column, 4 - column) + 9 * glyph, gv, seed + 4) > 0.5
    inside = (column < 5) & (gv >= 0) & (gv < 14) & (gv % 8 < 7) & (gu >= 0) & (gu < 21)
    return np.where((dots & inside)[:, None], np.array([0.10, 0.13, 0.30]), colour)


def porcelain(u: Array, v: Array, seed: int) -> Array:
    """White with blue bands and blossoms; v goes up."""
    blossom, label = cells(u * 7, v * 7, seed)
    petals = (blossom < 0.34) & (blossom > 0.10) | (blossom < 0.05)
    blue = mix((0.06, 0.15, 0.50), (0.25, 0.45, 0.80), label)
    white = mix((0.86, 0.88, 0.90), (0.98, 0.98, 0.96), fractal(u * 12, v * 12, seed + 3))
    band = np.abs(np.sin(v * 9)) < 0.12
    zigzag = np.abs(((u * 10) % 1) - 0.5) * 0.12 > np.abs(np.sin(v * 9)) * 0.4 - 0.06
    return np.where((petals | (band & zigzag))[:, None], blue, white)


def rope(u: Array, v: Array, seed: int) -> Array:
    """Twisted strands of two colours."""
    twist = np.sin(u * 26 + v * 22)
    colour = mix((0.75, 0.20, 0.16), (0.96, 0.90, 0.78), (twist > 0).astype(float))
    return colour * (0.65 + 0.35 * np.abs(twist))[:, None] * (0.8 + 0.4 * fractal(u * 25, v * 25, seed, 2))[:, None]


def cloth(u: Array, v: Array, seed: int) -> Array:
    """Zigzags of four colours."""
    zig = v + 0.07 * np.abs(((u * 5) % 1) * 2 - 1)
    band = np.floor(zig / 0.07)
    palette = np.array([[0.95, 0.75, 0.20], [0.85, 0.30, 0.20], [0.20, 0.30, 0.50], [0.95, 0.93, 0.85]])
    colour = palette[(hashed(band, band * 0, seed) * 4).astype(int)]
    return colour * (0.75 + 0.5 * fractal(u * 30, v * 30, seed + 1, 2))[:, None]


def painting(u: Array, v: Array, seed: int) -> Array:
    """Coloured shards, as a picture for the wall."""
    edge, label = cells(u * 4, v * 4, seed)
    colour = np.stack([np.mod(label * k + 0.13 * k, 1.0) for k in (7.0, 13.0, 29.0)], 1)
    return (
        (0.15 + 0.8 * colour)
        * np.clip(1.15 - edge, 0.35, 1)[:, None]
        * (0.8 + 0.4 * fractal(u * 16, v * 16, seed + 3))[:, None]
    )


def book(u: Array, v: Array, seed: int) -> Array:
    """A cover of one colour with lines of pretended text."""
    base = np.array([hashed(np.array([float(k)]), np.array([0.0]), seed)[0] for k in range(3)])
    colour = (0.2 + 0.6 * base) * (0.8 + 0.4 * fractal(u * 20, v * 20, seed + 1))[:, None]
    line = (np.floor(v / 0.03) % 2 == 0) & (hashed(np.floor(u / 0.035), np.floor(v / 0.03), seed + 2) > 0.45)
    return np.where(line[:, None], np.array([0.95, 0.92, 0.80]), colour)
