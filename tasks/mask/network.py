"""rembg's session on a file that is already here, and what its network says before rembg rescales it.

rembg stretches every answer from 0 to 1, so that a frame without a subject becomes noise; here the network's own
probabilities are kept. Its way to prepare a picture is rembg's, model by model.
"""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from tasks.errors import MaskModelUnusable
from tasks.mask.options import side_of

GPU_BATCH = 8
GPU_IN_FLIGHT = 4  # runs at a time where the model's file allows one picture a run
SQUARE = 1.05  # long side over short side up to which both looks are the same


class _Fed(Exception):
    """Carries what rembg was about to feed to its network."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels  # (1, 3, side, side) float32


class _Tap:
    """Stands where rembg's sessions keep their network: takes what they would feed to it."""

    def __init__(self, network: Any) -> None:
        self.get_inputs = network.get_inputs

    def run(self, names: object, feeds: dict[str, np.ndarray], *rest: object) -> None:
        raise _Fed(next(iter(feeds.values())))


class Network:
    """A mask model, loaded once. CUDA runs it where ONNX Runtime was built for that."""

    def __init__(self, path: Path, name: str, *, num_threads: int) -> None:
        """Load the file. Nothing can be downloaded: the session's way to get its file is replaced.

        Raises: MaskModelUnusable, BadOption.
        """
        import onnxruntime

        with warnings.catch_warnings():
            # Numba, below rembg's matting, which isn't used here, may find a TBB on the system that is too old for it.
            warnings.filterwarnings("ignore", message=".*TBB threading layer")
            from rembg.sessions import sessions  # takes a second

        self.side = side_of(name)
        base = sessions[name]
        here = {"download_models": classmethod(lambda cls, *args, **kwargs: str(path))}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.on_gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        providers = ["CUDAExecutionProvider"] * self.on_gpu + ["CPUExecutionProvider"]
        try:
            self._session: Any = type(f"Local{base.__name__}", (base,), here)(name, options, providers=providers)
        except Exception as error:
            raise MaskModelUnusable(
                f"{path.name} can't be loaded as {name!r}; put rembg's {name}.onnx in its place."
            ) from error
        self._network = self._session.inner_session
        self._session.inner_session = _Tap(self._network)
        self.on_gpu = self.on_gpu and "CUDAExecutionProvider" in self._network.get_providers()
        self._input, self._output = self._network.get_inputs()[0], self._network.get_outputs()[0].name
        self._logits = hasattr(base, "sigmoid")  # rembg puts a sigmoid behind these itself
        self._free_batch = not isinstance(self._input.shape[0], int)

    @property
    def frames_at_once(self) -> int:
        """Frames worth giving to `foreground` in one call."""
        return GPU_BATCH if self.on_gpu else 1

    def foreground(self, frames: Sequence[np.ndarray], *, looks: int) -> list[np.ndarray]:
        """Probability of the foreground, one (h, w) float32 map per (H, W, 3) uint8 RGB frame, in its shape.

        A map has about `side`^2 pixels. With two looks it is the mean of both, see `MaskOptions`.
        """
        fed: list[np.ndarray] = []
        owner: list[tuple[int, bool]] = []
        for index, frame in enumerate(frames):
            height, width = frame.shape[:2]
            fed.append(self._feed(frame))
            owner.append((index, False))
            if looks == 2 and max(height, width) > SQUARE * min(height, width):
                fed.append(self._feed(_mirrored(frame)))
                owner.append((index, True))
        maps: list[list[np.ndarray]] = [[] for _ in frames]
        for (index, mirrored), answer in zip(owner, self._run(fed), strict=True):
            maps[index].append(_in_shape(answer, frames[index].shape[:2], mirrored=mirrored))
        return [np.stack(several).mean(0) for several in maps]

    def _feed(self, frame: np.ndarray) -> np.ndarray:
        try:
            self._session.predict(Image.fromarray(frame))
        except _Fed as fed:
            return fed.pixels
        raise RuntimeError("rembg's session did not ask its network")

    def _run(self, fed: list[np.ndarray]) -> list[np.ndarray]:
        """(side, side) float32 answers in [0, 1]."""
        if "float16" in self._input.type:
            fed = [pixels.astype(np.float16) for pixels in fed]
        if self._free_batch and len(fed) > 1:
            answers = list(self._one(np.concatenate(fed)))
        elif self.on_gpu and len(fed) > 1:
            with ThreadPoolExecutor(GPU_IN_FLIGHT) as pool:
                answers = [answer[0] for answer in pool.map(self._one, fed)]
        else:
            answers = [self._one(pixels)[0] for pixels in fed]
        if self._logits:
            answers = [1.0 / (1.0 + np.exp(-np.clip(answer, -30.0, 30.0))) for answer in answers]
        return [np.clip(np.nan_to_num(answer), 0.0, 1.0) for answer in answers]

    def _one(self, pixels: np.ndarray) -> np.ndarray:
        return np.asarray(self._network.run([self._output], {self._input.name: pixels})[0])[:, 0].astype(np.float32)


def _padding(height: int, width: int) -> tuple[int, int, int, int]:
    """Rows and columns (top, bottom, left, right) that make a frame square."""
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return top, side - height - top, left, side - width - left


def _mirrored(frame: np.ndarray) -> np.ndarray:
    return cv2.copyMakeBorder(frame, *_padding(*frame.shape[:2]), borderType=cv2.BORDER_REFLECT_101)


def map_size(height: int, width: int, side: int) -> tuple[int, int]:
    """(height, width) in the frame's shape with about side^2 pixels, never more than the frame has."""
    factor = min(1.0, side / float(np.sqrt(height * width)))
    return max(1, round(height * factor)), max(1, round(width * factor))


def _in_shape(answer: np.ndarray, shape: tuple[int, int], *, mirrored: bool) -> np.ndarray:
    """The part of a square answer that shows the frame, in the frame's shape."""
    height, width = shape
    rows, columns = map_size(height, width, answer.shape[0])
    if not mirrored:
        return cv2.resize(answer, (columns, rows), interpolation=cv2.INTER_LINEAR)
    top, _, left, _ = _padding(height, width)
    scale = answer.shape[0] / max(height, width)  # of the answer's pixels to the frame's
    # From the centre of each pixel of the map to the answer; OpenCV counts from the centre of the first pixel.
    x = (((np.arange(columns) + 0.5) * width / columns + left) * scale - 0.5).astype(np.float32)
    y = (((np.arange(rows) + 0.5) * height / rows + top) * scale - 0.5).astype(np.float32)
    grid_x, grid_y = np.meshgrid(x, y)
    return cv2.remap(answer, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
