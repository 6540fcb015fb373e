"""From frames to coarse maps, and from mended maps to alpha at the frames' size."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from tasks.geometry.guided import refine
from tasks.mask.network import Network, map_size

SMALL_SIDE = 256  # the small maps and gray pictures that stay in memory have this squared many pixels
CONTRAST = (
    2.0  # of a map around one half before its edges are refined: no ghost stays of what the network is half sure of
)
PNG_COMPRESSION = 3


def read_frame(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB.

    Raises: ValueError when it's no picture.
    """
    frame = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if frame is None:
        raise ValueError(f"{path.name} is not a readable image")
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def small(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(h, w) uint8 of a gray picture or map, in the shape of a frame (H, W), with about SMALL_SIDE^2 pixels."""
    rows, columns = map_size(*shape, SMALL_SIDE)
    return cv2.resize(values, (columns, rows), interpolation=cv2.INTER_AREA)


def as_bytes(foreground: np.ndarray) -> np.ndarray:
    """Probabilities as uint8, 255 = 1."""
    return np.round(255.0 * np.clip(foreground, 0.0, 1.0)).astype(np.uint8)


def coarse_maps(
    network: Network, paths: Sequence[Path], *, looks: int
) -> Iterator[tuple[np.ndarray, np.ndarray, tuple[int, int]]]:
    """For each frame in order: the network's map (h, w) uint8, a small gray picture (h, w) uint8, the frame's (H, W).

    Frames are read ahead while the network works; a handful is in memory at a time.
    """
    batch = network.frames_at_once
    groups = [paths[i : i + batch] for i in range(0, len(paths), batch)]
    waiting: deque[Future[list[np.ndarray]]] = deque()
    with ThreadPoolExecutor(1) as pool:
        try:
            todo = iter(groups)
            for group in todo:
                waiting.append(pool.submit(lambda g: [read_frame(path) for path in g], group))
                if len(waiting) == 2:
                    break
            while waiting:
                frames = waiting.popleft().result()
                if (following := next(todo, None)) is not None:
                    waiting.append(pool.submit(lambda g: [read_frame(path) for path in g], following))
                for frame, foreground in zip(frames, network.foreground(frames, looks=looks), strict=True):
                    shape = (frame.shape[0], frame.shape[1])
                    yield as_bytes(foreground), small(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), shape), shape
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def corrected(coarse: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The network's map with what was done to its small version done to it.

    Args:
        coarse: (h, w) uint8.
        before, after: (a, b) uint8 small map, as it was and as it's now.

    Returns:
        (h, w) float32 in [0, 1]. Where nothing was done, exactly the map.
    """
    size = (coarse.shape[1], coarse.shape[0])
    own = coarse / np.float32(255.0)
    if (before == after).all():
        return own
    was = cv2.resize(before, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    now = cv2.resize(after, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    # Replaced where it changed much, so that no detail of a wrong map shines through; shifted where it changed little.
    share = np.clip(np.abs(now - was) / 64.0, 0.0, 1.0)
    return np.clip(own + share * (now / 255.0 - own), 0.0, 1.0).astype(np.float32)


def alpha_of(frame: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """(H, W) uint8 alpha of a frame (H, W, 3) from its map (h, w) float32."""
    crisp = np.clip(CONTRAST * (foreground - 0.5) + 0.5, 0.0, 1.0).astype(np.float32)
    return refine(frame, crisp)


def write_mask(path: Path, alpha: np.ndarray) -> None:
    """An 8-bit gray PNG."""
    path.write_bytes(cv2.imencode(".png", alpha, [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION])[1].tobytes())
