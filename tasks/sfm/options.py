"""What a caller can choose about structure from motion, and what it gets told."""

from dataclasses import dataclass
from typing import Any, Literal

from tasks.errors import BadOption

Method = Literal["glomap", "colmap"]


@dataclass(frozen=True, kw_only=True)
class SfmOptions:
    """Options of `tasks.sfm.step.reconstruct`.

    Attributes:
        method: "glomap" solves all cameras at once (global mapping), "colmap" adds one after the other (incremental).
        max_features: features kept per frame; time of matching goes with its square.
        feature_side_px: long side of the image in which features are found; OpenCV's SIFT doubles it internally.
        overlap: frames after each one that it is matched with; beyond that at distances 2^i, and where loops close.
        retrieval: similar-looking frames tried per frame, for closing loops and for photos without an order.
        exhaustive_up_to: unordered photos up to this count are all matched with one another.
        match_ratio: a match must be nearer than this fraction of the second nearest (Lowe 2004).
        verify_error_px: largest epipolar error of a match, in pixels of the frames.
        filter_error_px: observations off by more than this are dropped at the end, in pixels of the frames.
        min_registered_fraction: under this fraction of frames a further attempt is made.
        max_attempts: rungs of the ladder, the first attempt included.
        image_side_px: cap on the long side of the undistorted images.
        jpeg_quality: of the undistorted images, 1-100.
        seed: of every random choice; the same seed and thread count repeat a run as far as the mapper allows.
        num_threads: worker threads; None means one per usable core.
    """

    method: Method = "glomap"
    max_features: int = 2048
    feature_side_px: int = 800
    overlap: int = 8
    retrieval: int = 4
    exhaustive_up_to: int = 60
    match_ratio: float = 0.8
    verify_error_px: float = 3.0
    filter_error_px: float = 3.0
    min_registered_fraction: float = 0.9
    max_attempts: int = 4
    image_side_px: int = 1600
    jpeg_quality: int = 96
    seed: int = 0
    num_threads: int | None = None

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float]] = {
            "max_features": (128, 32768),
            "feature_side_px": (160, 6400),
            "overlap": (1, 1000),
            "retrieval": (0, 1000),
            "exhaustive_up_to": (0, 2000),
            "match_ratio": (0.1, 1.0),
            "verify_error_px": (0.1, 50.0),
            "filter_error_px": (0.1, 50.0),
            "min_registered_fraction": (0.0, 1.0),
            "max_attempts": (1, 10),
            "image_side_px": (64, 16384),
            "jpeg_quality": (1, 100),
            "seed": (0, 2**31 - 1),
        }
        if self.method not in ("glomap", "colmap"):
            raise BadOption(f"method is {self.method!r}; choose 'glomap' or 'colmap'.")
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise BadOption(f"{name} is {value}; give a value from {low:g} to {high:g}.")
        if self.num_threads is not None and self.num_threads < 1:
            raise BadOption(f"num_threads is {self.num_threads}; give 1 or more, or leave it out.")


@dataclass(frozen=True, kw_only=True)
class SfmRecord:
    """What structure from motion found.

    Attributes:
        frames_given: frames in the input folder.
        frames_registered: frames with a pose in the model that was kept.
        points: 3D points of that model.
        reprojection_error_px: mean over all observations, in pixels of the frames as given.
        method: the mapper that made the model that was kept.
        attempts: one dict per rung of the ladder: rung, method, pairs, registered, points, error_px, seconds, why.
        warnings: sentences for people.
        focal_px: mean focal length of the undistorted images, in their pixels.
        width, height: size of the undistorted images (of the commonest camera when there are several).
        subject_only: poses come from the subject's features alone, since it turned before a background that stood still.
    """

    frames_given: int
    frames_registered: int
    points: int
    reprojection_error_px: float
    method: str
    attempts: tuple[dict[str, Any], ...]
    warnings: tuple[str, ...]
    focal_px: float
    width: int
    height: int
    subject_only: bool = False
