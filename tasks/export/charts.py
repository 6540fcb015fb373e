"""The page's drawings, as SVG from numbers alone; colours come from the page's style sheet, for light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

MAX_DOTS = 4_000
MIN_BLUR_RANGE = 0.1  # a narrower one is noise and must not look like a difference
LEAST_SHOWN, MOST_SHOWN = 1e-12, 1e12  # values beyond are no figures of a training
COLOR_LEVELS = 5  # per channel, so that dots of one colour share a path


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A kept frame on the timeline.

    Attributes:
        at: place in the clip, 0 to 1.
        blur: 0 sharp to 1 blurred, None when it wasn't judged.
        motion: since the kept frame before, in any unit; None when it wasn't measured.
        kind: "kept", "held" (held out) or "missing" (no pose found).
        title: shown when pointed at.
    """

    at: float
    blur: float | None
    motion: float | None
    kind: str
    title: str


def timeline(frames: Sequence[Kept]) -> Markup:
    """A strip of the clip: a bar per kept frame, upwards how sharp it is among the others, downwards its motion."""
    width, up, down = 1000.0, 90.0, 40.0
    bar = max(1.2, min(7.0, 0.7 * width / max(1, len(frames))))
    blurs = [frame.blur for frame in frames if frame.blur is not None]
    sharpest, range_ = (min(blurs), max(max(blurs) - min(blurs), MIN_BLUR_RANGE)) if blurs else (0.0, 1.0)
    moved = [frame.motion for frame in frames if frame.motion]
    fastest = float(np.percentile(moved, 98)) if moved else 1.0
    one = Markup('<rect x="{}" y="{}" width="{}" height="{}" class="{}"><title>{}</title></rect>')
    parts = []
    for frame in frames:
        sharp = 1.0 if frame.blur is None else 1.0 - (frame.blur - sharpest) / range_
        height = up * (0.2 + 0.8 * min(max(sharp, 0.0), 1.0))
        x = _n(frame.at * (width - bar))
        parts.append(one.format(x, _n(up - height), _n(bar), _n(height), frame.kind, frame.title))
        if frame.motion:
            below = down * min(frame.motion / fastest, 1.0) if fastest > 0 else 0.0
            parts.append(one.format(x, _n(up + 2), _n(bar), _n(below), "motion", frame.title))
    return _svg(width, up + 2 + down, parts, stretch=True, label="Kept frames along the clip: sharpness and motion")


def top_view(
    centres: NDArray[np.float64],
    axes: NDArray[np.float64],
    held_out: Sequence[bool],
    points: NDArray[np.float64],
    colors: NDArray[np.uint8],
) -> Markup:
    """The cameras' path over the points from above: x to the right, z (forward) up.

    Args:
        centres: (V, 3) in the RDF world.
        axes: (V, 3) viewing directions.
        held_out: of each camera.
        points: (P, 3).
        colors: (P, 3) sRGB.
    """
    plan = centres[:, [0, 2]]  # (V, 2)
    dots = points[:, [0, 2]] if len(points) else np.zeros((0, 2))
    low, high = _window(plan, dots)
    span = high - low
    width = 600.0
    height = float(np.clip(width * span[1] / span[0], 260.0, 620.0))
    scale = min(width / span[0], height / span[1])
    middle = (low + high) / 2

    def place(p: NDArray[np.float64]) -> NDArray[np.float64]:
        return (p - middle) * [scale, -scale] + [width / 2, height / 2]

    parts = [_dots(place(dots), colors, width, height)]
    here = place(plan)
    line = " ".join(f"{_n(x)},{_n(y)}" for x, y in here)
    parts.append(_tag("polyline", points=line, class_="path"))
    size = 9.0
    for (x, y), axis, held in zip(here, axes, held_out, strict=True):
        forward = np.array([axis[0], -axis[2]])
        length = float(np.linalg.norm(forward))
        forward = forward / length if length > 1e-9 else np.array([0.0, -1.0])
        side = np.array([-forward[1], forward[0]])
        corners = [np.array([x, y]) + size * (a * forward + b * side) for a, b in ((0, 0), (1, 0.45), (1, -0.45))]
        d = "M" + "L".join(f"{_n(cx)} {_n(cy)}" for cx, cy in corners) + "Z"
        parts.append(_tag("path", d=d, class_="camera held" if held else "camera"))
    return _svg(width, height, parts, label="Cameras and points seen from above")


def curve(points: Sequence[tuple[float, float]], *, unit: str, label: str, logarithmic: bool = False) -> Markup | None:
    """A line over training steps with a few round marks; None when there are under two points."""
    least = LEAST_SHOWN if logarithmic else -MOST_SHOWN
    sound = [(x, y) for x, y in points if math.isfinite(x) and least <= y <= MOST_SHOWN]
    if len(sound) < 2:
        return None
    width, height, left, bottom, top, right = 480.0, 200.0, 52.0, 24.0, 10.0, 24.0
    xs = np.array([x for x, _ in sound])
    values = np.array([y for _, y in sound])
    ys = np.log10(values) if logarithmic else values
    x_max = float(xs.max()) or 1.0
    marks = _log_marks(values) if logarithmic else _marks(float(values.min()), float(values.max()))
    mark_ys = [math.log10(m) if logarithmic else m for m in marks]
    low, high = min(float(ys.min()), *mark_ys), max(float(ys.max()), *mark_ys)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-3):  # a flat line, in the middle
        margin = max(1.0, abs(high))
        low, high = low - margin, high + margin

    def at(x: float, y: float) -> tuple[float, float]:
        inner_w, inner_h = width - left - right, height - top - bottom
        return left + x / x_max * inner_w, top + (high - y) / (high - low) * inner_h

    parts: list[Markup] = []
    for mark, y in zip(marks, mark_ys, strict=True):
        _, py = at(0, y)
        parts.append(_tag("line", x1=left, x2=width - right, y1=py, y2=py, class_="grid"))
        parts.append(_text(left - 6, py + 4, _short(mark), "end"))
    for mark in _marks(0.0, x_max)[1:]:
        if mark <= x_max:
            px, _ = at(mark, low)
            parts.append(_text(px, height - 6, _short(mark), "middle"))
    line = " ".join(f"{_n(px)},{_n(py)}" for px, py in (at(x, y) for x, y in zip(xs, ys, strict=True)))
    parts.append(_tag("polyline", points=line, class_="line"))
    px, py = at(float(xs[-1]), float(ys[-1]))
    parts.append(_tag("circle", cx=px, cy=py, r=3.5, class_="dot"))
    return _svg(width, height, parts, label=f"{label} in {unit} over training steps")


def _window(plan: NDArray[np.float64], dots: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(low, high) corners: all cameras, and of the points what lies near them."""
    low, high = plan.min(0), plan.max(0)
    reach = max(float(np.linalg.norm(high - low)), 1e-6)
    if len(dots):
        p_low, p_high = np.percentile(dots, [4, 96], axis=0)
        low = np.minimum(low, np.maximum(p_low, low - 2 * reach))
        high = np.maximum(high, np.minimum(p_high, high + 2 * reach))
    margin = 0.06 * max(float((high - low).max()), 1e-6)
    return low - margin, high + margin


def _dots(places: NDArray[np.float64], colors: NDArray[np.uint8], width: float, height: float) -> Markup:
    """Points as strokes without length, one path per colour."""
    inside = ((places >= 0) & (places <= [width, height])).all(1)
    places, colors = places[inside], colors[inside]
    step = max(1, -(-len(places) // MAX_DOTS))
    places, colors = places[::step], colors[::step]
    levels = np.round(colors / 255 * (COLOR_LEVELS - 1)).astype(int)
    paths = []
    for level in np.unique(levels, axis=0):
        chosen = places[(levels == level).all(1)]
        d = "".join(f"M{_n(x)} {_n(y)}h0" for x, y in chosen)
        r, g, b = (level * 255 // (COLOR_LEVELS - 1)).tolist()
        paths.append(_tag("path", d=d, stroke=f"rgb({r},{g},{b})"))
    return Markup('<g class="dots">{}</g>').format(Markup("").join(paths))


def _marks(low: float, high: float) -> list[float]:
    """Two to seven round numbers that span low to high; one when there is no telling them apart."""
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-3):
        return [low]
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(f * power for f in (1, 2, 2.5, 5, 10) if f * power >= raw * 0.999)
    first = math.floor(low / step + 1e-9)
    count = math.ceil(high / step - 1e-9) - first
    return [round((first + i) * step, 12) for i in range(count + 1)]


def _log_marks(values: NDArray[np.float64]) -> list[float]:
    """Powers of ten and their doubles and fivefolds around positive values, at most six."""
    low, high = float(values.min()), float(values.max())
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    many = [f * 10.0**e for e in decades for f in (1, 2, 5)]
    below = [m for m in many if m <= low]
    above = [m for m in many if m >= high]
    chosen = [m for m in many if (not below or m >= below[-1]) and (not above or m <= above[0])]
    return chosen if len(chosen) <= 6 else [m for m in chosen if math.log10(m) % 1 == 0] or chosen[:: len(chosen) // 5]


def _short(value: float) -> str:
    """A number for an axis: 12k, 0.05, 1.5M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _n(value: float) -> str:
    """A coordinate, short."""
    return f"{float(value):.1f}".rstrip("0").rstrip(".")


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(_n(x), _n(y), anchor, text)


def _tag(name: str, **attributes: float | str) -> Markup:
    pairs = Markup(" ").join(
        Markup('{}="{}"').format(key.rstrip("_"), value if isinstance(value, str) else _n(value))
        for key, value in attributes.items()
    )
    return Markup("<{} {}/>").format(Markup(name), pairs)


def _svg(width: float, height: float, parts: list[Markup], *, label: str, stretch: bool = False) -> Markup:
    ratio = Markup(' preserveAspectRatio="none"') if stretch else Markup("")
    head = Markup('<svg viewBox="0 0 {} {}"{} role="img" aria-label="{}">').format(_n(width), _n(height), ratio, label)
    return head + Markup("").join(parts) + Markup("</svg>")
