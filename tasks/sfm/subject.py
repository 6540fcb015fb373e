"""The mask step's folder as structure from motion uses it: which features lie on the subject, and its alpha, undistorted.

Before they are undistorted, masks are mended where the masks of other views contradict them (`consensus.py`).
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pycolmap
from PIL import Image

from tasks.errors import BadPosedInput
from tasks.geometry.pinhole import Pinhole, remap_tables
from tasks.sfm.capture import Capture
from tasks.sfm.consensus import MENDED, Sightings, reconcile, words_of_others
from tasks.sfm.features import one_opencv_thread

MARGIN = 0.006  # of the long side: features nearer to the mask's edge see too much of the background


def mask_path(masks: Path, name: str) -> Path:
    """Where the mask of a frame lies in the mask step's folder."""
    return masks / "masks" / f"{Path(name).stem}.png"


def read_alpha(masks: Path, name: str, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 alpha of a frame of this (width, height).

    Raises: BadPosedInput.
    """
    path = mask_path(masks, name)
    alpha = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    if alpha is None or alpha.shape != (size[1], size[0]):
        raise _unfit(name)
    return alpha


def require_masks(masks: Path, capture: Capture) -> None:
    """Check by their headers that every frame has a mask of its size, before minutes are spent.

    Raises: BadPosedInput.
    """
    for name, size in zip(capture.names, capture.sizes, strict=True):
        try:
            with Image.open(mask_path(masks, name)) as image:
                fits = image.size == size and image.mode == "L"
        except OSError:
            fits = False
        if not fits:
            raise _unfit(name)


def _unfit(name: str) -> BadPosedInput:
    return BadPosedInput(
        f"The mask of {name} is missing or isn't a gray picture of its size; make the masks of these frames again."
    )


def background_stands_still(masks: Path) -> bool:
    """Whether the mask step noticed that only the subject turned.

    Raises: BadPosedInput when the folder isn't the mask step's.
    """
    try:
        return json.loads((masks / "mask.json").read_text())["background"] == "stands_still"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadPosedInput(f"{masks} holds no masks of the mask step; make the masks again.") from error


def on_subject(alpha: np.ndarray) -> np.ndarray:
    """(H, W) bool: where a feature is the subject's, a margin within its edge."""
    reach = max(1, round(MARGIN * max(alpha.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.erode((alpha >= 128).astype(np.uint8), disc) > 0


def sightings(model: pycolmap.Reconstruction, names: list[str]) -> list[Sightings]:
    """Which points of a model, whose images still have their lenses, each of these frames sees, and where."""
    places = {point: place for place, point in enumerate(sorted(model.points3D))}
    found = []
    for name in names:
        image = model.find_image_with_name(name)
        seen = [] if image is None else [p for p in image.points2D if p.has_point3D()]
        found.append(
            Sightings(
                xy=np.array([p.xy for p in seen], np.float64).reshape(-1, 2),
                points=np.array([places[p.point3D_id] for p in seen], np.int64),
            )
        )
    return found


def undistort_masks(
    capture: Capture,
    masks: Path,
    jobs: list[tuple[str, int]],
    cameras: dict[int, tuple[pycolmap.Camera, Pinhole]],
    seen: list[Sightings],
    out: Path,
    *,
    num_threads: int,
    progress: Callable[[int, int], None],
) -> list[str]:
    """Write the pinhole view of the mask of each (frame name, camera id) to `out/<stem>.png`, bilinear.

    Args:
        seen: what each of these frames sees; their masks are mended by it.
        progress: called with (done, total); may raise to stop.

    Returns:
        names of the frames whose masks were mended by much.
    """
    tables = {key: remap_tables(*pair) for key, pair in cameras.items()}
    sizes = dict(zip(capture.names, capture.sizes, strict=True))
    words = words_of_others(seen, lambda index: read_alpha(masks, jobs[index][0], sizes[jobs[index][0]]))

    def one(index: int) -> float:
        name, key = jobs[index]

        def frame() -> np.ndarray:
            photo = cv2.imdecode(np.fromfile(capture.folder / name, np.uint8), cv2.IMREAD_COLOR)
            if photo is None:
                raise ValueError(f"{name} is not a readable image")
            return photo

        alpha, changed = reconcile(frame, read_alpha(masks, name, sizes[name]), seen[index].xy, words[index])
        camera, pinhole = cameras[key]
        if pinhole.width < camera.width:  # smooth before sampling sparsely, as for the images
            sigma = 0.5 * float(np.sqrt((camera.width / pinhole.width) ** 2 - 1.0))
            alpha = cv2.GaussianBlur(alpha, (0, 0), sigma) if sigma > 0.1 else alpha
        view = cv2.remap(alpha, *tables[key], interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        encoded = cv2.imencode(".png", view, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1]
        (out / f"{Path(name).stem}.png").write_bytes(encoded.tobytes())
        return changed

    mended: list[str] = []
    with one_opencv_thread(), ThreadPoolExecutor(num_threads) as pool:
        try:
            for done, changed in enumerate(pool.map(one, range(len(jobs))), 1):
                if changed >= MENDED:
                    mended.append(jobs[done - 1][0])
                progress(done, len(jobs))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return mended
