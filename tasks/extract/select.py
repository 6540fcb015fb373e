"""Which frames to keep: sharp ones, with even motion between them."""

import itertools

import numpy as np

_TIME_SHARE = 0.35  # of the path that is measured in time: turning moves the picture more than walking, and shows less
_BLUR_WEIGHT = 8.0  # a frame 10 % less sharp than its best neighbour weighs as much as a step 90 % too long
_BLUR_MOST = 3.0  # a blurred stretch must not tear a hole


def choose(position: np.ndarray, time_s: np.ndarray, sharpness: np.ndarray, max_frames: int) -> np.ndarray:
    """Indices, ascending, of at most `max_frames` frames; all of them if there are no more than that.

    position, time_s: (N,) never falling.  sharpness: (N,) higher is sharper, compared among neighbours only.

    The choice minimises the sum of squared steps along the path plus a penalty for frames less sharp than their
    neighbours (shortest path over all frames; a price per frame, found by bisection, holds the number).
    """
    count = len(position)
    if count <= max_frames:
        return np.arange(count)
    if max_frames == 1:
        return np.array([int(np.argmax(sharpness))])
    path = path_coordinate(position, time_s) * (max_frames - 1)  # an even step is 1
    penalty = np.minimum(_BLUR_MOST, _BLUR_WEIGHT * blur_deficit(path, sharpness))
    low, high, best = 0.0, 1.0, None
    while len(_shortest(path, penalty, high)) > max_frames:
        low, high = high, high * 4
    for _ in range(24):
        price = (low + high) / 2
        chosen = _shortest(path, penalty, price)
        if len(chosen) > max_frames:
            low = price
        else:
            high, best = price, chosen
            if len(chosen) == max_frames:
                break
    if best is None:
        best = _shortest(path, penalty, high)
    return _relax(_fill(best, path, penalty, max_frames), path, penalty)


def path_coordinate(position: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """(N,) in [0, 1]: the share of the clip's motion, with some time mixed in."""
    moved, passed = position - position[0], time_s - time_s[0]
    by_motion = moved / moved[-1] if moved[-1] > 0 else None
    by_time = passed / passed[-1] if passed[-1] > 0 else np.linspace(0, 1, len(passed))
    if by_motion is None:
        return by_time
    return (1 - _TIME_SHARE) * by_motion + _TIME_SHARE * by_time


def blur_deficit(path: np.ndarray, sharpness: np.ndarray, reach: float = 1.5) -> np.ndarray:
    """(N,) in [0, 1]: how much less sharp each frame is than the sharpest within `reach` along the path."""
    first = np.searchsorted(path, path - reach)
    last = np.searchsorted(path, path + reach, side="right")
    best = np.array([sharpness[a:b].max() for a, b in zip(first, last, strict=True)])
    return np.clip(1 - sharpness / np.maximum(best, 1e-12), 0, 1)


def _shortest(path: np.ndarray, penalty: np.ndarray, price: float) -> np.ndarray:
    """The cheapest chain of frames from the start of the path to its end, each frame costing `price` more."""
    count = len(path)
    cost = np.empty(count)
    before = np.full(count, -1)
    for j in range(count):
        cost[j] = (path[j] - path[0]) ** 2
        if j:
            through = cost[:j] + (path[j] - path[:j]) ** 2
            best = int(np.argmin(through))
            if through[best] < cost[j]:
                cost[j], before[j] = through[best], best
        cost[j] += penalty[j] + price
    at = int(np.argmin(cost + (path[-1] - path) ** 2))
    chain = []
    while at >= 0:
        chain.append(at)
        at = int(before[at])
    return np.array(chain[::-1])


def _fill(chosen: np.ndarray, path: np.ndarray, penalty: np.ndarray, max_frames: int) -> np.ndarray:
    """Spend what is left of `max_frames` where a frame more shortens the squared steps most."""
    kept = sorted(int(i) for i in chosen)
    while len(kept) < max_frames:
        gains = []
        for a, b in itertools.pairwise([-1, *kept, len(path)]):
            if b - a > 1:
                between = np.arange(a + 1, b)
                start, stop = path[max(a, 0)], path[min(b, len(path) - 1)]
                gain = 2 * (path[between] - start) * (stop - path[between]) - penalty[between]
                best = int(np.argmax(gain))
                gains.append((float(gain[best]), int(between[best])))
        kept = sorted([*kept, max(gains)[1]])
    return np.array(kept)


def _relax(chosen: np.ndarray, path: np.ndarray, penalty: np.ndarray, sweeps: int = 20) -> np.ndarray:
    """Move each frame to the best place between its neighbours, until none moves."""
    kept = [int(i) for i in chosen]
    for _ in range(sweeps):
        moved = False
        for k in range(1, len(kept) - 1):
            between = np.arange(kept[k - 1] + 1, kept[k + 1])
            cost = (path[between] - path[kept[k - 1]]) ** 2 + (path[kept[k + 1]] - path[between]) ** 2
            cost += penalty[between]
            best = int(between[np.argmin(cost)])
            if best != kept[k] and cost[best - between[0]] < cost[kept[k] - between[0]] - 1e-12:
                kept[k], moved = best, True
        if not moved:
            break
    return np.array(kept)
