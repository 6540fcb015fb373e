"""The way of the camera: a closed, smooth path about the look-at point of the framing that begins at the framing's own place.

Everything is relative to the distance between the two, so that the unit of the scene doesn't matter. Where a path may go is judged
by where the scene was filmed from: near those places there is free space, and what is seen from there is known.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from tasks.geometry.framing import Framing
from tasks.turntable.options import Kind

Array = NDArray[np.float64]

ORBIT_ASIDE = 0.45  # of the distance: a gap of 50 degrees between the cameras of a circle
SWAY_ASIDE = 0.15
MOST_AROUND, MOST_UP = math.radians(25.0), math.radians(8.0)  # of a sway, to each side
MOST_NEARER = math.log(1.12)
STEEPEST = math.radians(80.0)  # above or below the look-at point; at the pole, around says nothing
SPREAD = (0.05, 0.95)  # quantiles of the cameras' directions
SCALES = (1.0, 0.8, 0.65, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.0)
CLEAR = 0.1  # of the distance: as near as that to the points of a surface is near enough
POINTS_OF_SURFACE = 5  # fewer points together may be wrong ones
STILL_DEG = 1.0
AROUND, UP, AWAY = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Filmed:
    """A framing with what is known about the space around it, in the world.

    Attributes:
        framing: the view that the path begins with.
        cameras: (V, 3) places that the look-at point was filmed from; the framing's own need not be among them.
        points: (P, 3) of surfaces.
    """

    framing: Framing
    cameras: Array
    points: Array


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A path: where the camera is at each frame; it always looks at the framing's look-at point. See `TurntableRecord`."""

    kind: Kind
    positions: Array  # (F, 3)
    reach_deg: float
    aside: float
    warnings: tuple[str, ...]


def plan(filmed: Filmed, *, path: Literal["auto", "orbit", "sway"], frames: int) -> Plan:
    """The path of that kind with so many frames; the frame after the last would be the first.

    `auto` is an orbit where all of it is near to where the scene was filmed from, and otherwise a sway. An orbit that is asked for
    is made anyhow, with a warning.
    """
    round_ = _orbit(filmed.framing, frames)
    aside = _aside(filmed, round_)
    allowed = aside <= ORBIT_ASIDE and _clear(filmed, round_)
    if path == "orbit" or (path == "auto" and allowed):
        return Plan(
            kind="orbit",
            positions=round_,
            reach_deg=360.0,
            aside=aside,
            warnings=()
            if allowed
            else (
                "The turntable goes around where nobody filmed, so parts of it show what was never seen; choose the path sway, or "
                "film all around.",
            ),
        )
    return _sway(filmed, frames)


def views(filmed: Filmed, positions: Array) -> list[Framing]:
    """The framing, seen from each position (F, 3) of a path."""
    framing = filmed.framing
    found = []
    for x, y, z in positions.tolist():
        found.append(Framing(position=(x, y, z), look_at=framing.look_at, up=framing.up, view=framing.view))
    return found


def _phases(frames: int) -> Array:
    return 2 * np.pi * np.arange(frames) / frames


def _orbit(framing: Framing, frames: int) -> Array:
    """(F, 3) a full turn about the up axis through the look-at point, at the same height and distance."""
    frame = _Polar(framing)
    turn = np.zeros((frames, 3))
    turn[:, AROUND] = _phases(frames)
    return frame.places(turn)


def _sway(filmed: Filmed, frames: int) -> Plan:
    """The largest of ever smaller sways that stays where the scene was filmed from, clear of surfaces."""
    frame = _Polar(filmed.framing)
    low, high = _spread(frame, filmed.cameras)
    for scale in SCALES:
        for upward in (1.0, 0.5, 0.0):
            factor = scale * np.array([1.0, upward, 1.0])
            offsets = _swing(low * factor, high * factor, frames)
            positions = frame.places(offsets)
            aside = _aside(filmed, positions)
            if scale == 0.0 or (aside <= SWAY_ASIDE and _clear(filmed, positions)):
                reach = math.degrees(float(np.abs(offsets[:, (AROUND, UP)]).max()))
                still = reach < STILL_DEG and float(np.abs(offsets[:, AWAY]).max()) < math.radians(STILL_DEG)
                return Plan(
                    kind="sway",
                    positions=positions,
                    reach_deg=reach,
                    aside=aside,
                    warnings=(
                        "The turntable hardly moves, since the scene was filmed from about one place; film it from more sides.",
                    )
                    if still
                    else (),
                )
    raise AssertionError("a sway of no size is always allowed")


def _swing(low: Array, high: Array, frames: int) -> Array:
    """(F, 3) offsets that begin and end at 0 and reach from low (3,) <= 0 to high (3,) >= 0; one sine each, so all is smooth.

    Up and down goes twice as fast as around, which makes the loop an eight.
    """
    middle, half = (high + low) / 2, (high - low) / 2
    offsets = np.zeros((frames, 3))
    for axis, speed in ((AROUND, 1), (UP, 2), (AWAY, 1)):
        if half[axis] > 0:
            begin = math.asin(float(np.clip(-middle[axis] / half[axis], -1, 1)))
            offsets[:, axis] = middle[axis] + half[axis] * np.sin(speed * _phases(frames) + begin)
    return offsets


def _spread(frame: "_Polar", cameras: Array) -> tuple[Array, Array]:
    """(3,) each: how far the cameras reach to both sides of the framing's place, around, up and away, within what a sway takes."""
    if not len(cameras):
        return np.zeros(3), np.zeros(3)
    offsets = frame.offsets(cameras)
    low, high = np.quantile(offsets, SPREAD, axis=0)
    most = np.array([MOST_AROUND, MOST_UP, MOST_NEARER])
    low, high = np.clip(low, -most, 0), np.clip(high, 0, most)
    low[UP] = min(0.0, max(low[UP], -STEEPEST - frame.elevation))
    high[UP] = max(0.0, min(high[UP], STEEPEST - frame.elevation))
    return low, high


def _aside(filmed: Filmed, positions: Array) -> float:
    """How far the path goes from the nearest camera, in parts of the distance to the look-at point."""
    own = np.array([filmed.framing.position])
    distances, _ = KDTree(np.concatenate([filmed.cameras.reshape(-1, 3), own])).query(positions)
    return float(distances.max()) / _distance(filmed.framing)


def _clear(filmed: Filmed, positions: Array) -> bool:
    """Whether no surface is so near to the path that it may lead through it."""
    count = min(POINTS_OF_SURFACE, len(filmed.points))
    if not count:
        return True
    tree = KDTree(filmed.points)

    def nearest(places: Array) -> float:
        found, _ = tree.query(places, k=count)
        return float(found.reshape(len(places), -1)[:, -1].min())

    own = nearest(np.array([filmed.framing.position]))
    return nearest(positions) >= min(CLEAR * _distance(filmed.framing), 0.5 * own)


def _distance(framing: Framing) -> float:
    return float(np.linalg.norm(np.subtract(framing.position, framing.look_at)))


class _Polar:
    """Places as seen from the look-at point: angle around the up axis, angle above the horizon, logarithm of the distance."""

    def __init__(self, framing: Framing) -> None:
        offset = np.subtract(framing.position, framing.look_at)
        up = np.array(framing.up) / np.linalg.norm(framing.up)
        level = offset - (offset @ up) * up
        self._centre = np.array(framing.look_at)
        self._own = offset
        self._distance = float(np.linalg.norm(offset))
        ahead = level / max(float(np.linalg.norm(level)), 1e-12)
        self._axes = np.stack([ahead, np.cross(up, ahead), up])  # (3, 3)
        self.elevation = math.atan2(float(offset @ up), float(np.linalg.norm(level)))

    def places(self, offsets: Array) -> Array:
        """(F, 3) in the world, of offsets (F, 3) from the framing's own place."""
        around, above = offsets[:, AROUND], offsets[:, UP] + self.elevation
        away = self._distance * np.exp(offsets[:, AWAY])
        level = away * np.cos(above)
        local = np.stack([level * np.cos(around), level * np.sin(around), away * np.sin(above)], 1)
        found = self._centre + local @ self._axes
        found[~offsets.any(1)] = self._centre + self._own  # to the last bit
        return found

    def offsets(self, places: Array) -> Array:
        """(V, 3) of places (V, 3) in the world."""
        x, y, z = ((places - self._centre) @ self._axes.T).T
        level = np.hypot(x, y)
        away = np.maximum(np.hypot(level, z), 1e-12 * self._distance)
        return np.stack([np.arctan2(y, x), np.arctan2(z, level) - self.elevation, np.log(away / self._distance)], 1)
