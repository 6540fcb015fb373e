"""Results that look like success and are not: found and said, or refused.

All tests are scale-free: angles, ratios, and pixels of the frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pycolmap

from tasks.errors import NoParallax, TooLittleOverlap
from tasks.sfm.capture import Capture
from tasks.sfm.orient import poses

if TYPE_CHECKING:
    from tasks.sfm.ladder import LadderResult

FOCAL_RATIO = (0.4, 3.0)  # of the long side; outside it a lens is possible, but a mistake is likelier
MIN_ANGLE_DEG = 1.5  # median over points of the widest angle between two of their rays
MIN_USEFUL_FRAMES = 4
LINE_RATIO = 0.02
WEAK_FRAME_POINTS = 50
HIGH_ERROR_PX = 1.5
VOTE_TOLERANCE = 0.3
ASPECT_TOLERANCE = 0.05
SURE_VOTE = 0.6


@dataclass(frozen=True, kw_only=True)
class Parallax:
    """Attributes:
    angle_deg: median over the points (seen by three frames or more, if there are enough) of the widest angle between rays.
    baseline_ratio: spread of the camera centres in units of the median depth.
    """

    angle_deg: float
    baseline_ratio: float


def measure_parallax(model: pycolmap.Reconstruction, *, sample: int = 2000) -> Parallax:
    """How much the views really differ."""
    images = {i: model.images[i] for i in model.reg_image_ids()}
    centres = {i: image.projection_center() for i, image in images.items()}
    points = sorted(model.points3D.items())
    long_tracks = [(i, p) for i, p in points if p.track.length() >= 3]
    points = long_tracks if len(long_tracks) >= 50 else points
    step = max(1, len(points) // sample)
    angles = []
    for _, point in points[::step]:
        seen_from = np.array([centres[e.image_id] for e in point.track.elements if e.image_id in centres])
        if len(seen_from) < 2:
            continue
        rays = point.xyz - seen_from
        rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-300)
        angles.append(float(np.rad2deg(np.arccos(np.clip((rays @ rays.T).min(), -1, 1)))))
    all_centres = np.array(list(centres.values()))
    spread = float(np.linalg.norm(all_centres - all_centres.mean(0), axis=1).max())
    xyz = np.array([p.xyz for _, p in points]).reshape(-1, 3)
    depth = float(np.median(np.linalg.norm(xyz - all_centres.mean(0), axis=1))) if len(xyz) else np.inf
    return Parallax(
        angle_deg=float(np.median(angles)) if angles else 0.0, baseline_ratio=spread / depth if depth > 0 else 0.0
    )


def require_parallax(model: pycolmap.Reconstruction) -> Parallax:
    """Raises NoParallax when the cameras stood in one place."""
    parallax = measure_parallax(model)
    if parallax.angle_deg < MIN_ANGLE_DEG:
        raise NoParallax(
            "The camera only turned or stood still, so depth can't be told; walk around the subject while filming, "
            "so that it's seen from different places."
        )
    return parallax


def require_motion(matched: dict[str, Any], *, frames: int) -> None:
    """Raises NoParallax when the frames connect by nothing but turning on the spot."""
    if matched["turning"]["only"] and matched["verified_pairs"] >= frames - 1:
        raise NoParallax(
            "The camera only turned or stood still, so depth can't be told; walk around the subject while filming, "
            "so that it's seen from different places."
        )


def refuse() -> NoReturn:
    """Raises TooLittleOverlap: no attempt gave a model."""
    raise TooLittleOverlap(
        "The views don't connect to a scene; film more slowly, in good light, and so that each view shows most of what the "
        "one before it showed."
    )


def ranges(names: Sequence[str], chosen: set[str]) -> str:
    """Which of the names are chosen, as runs: "a.jpg to c.jpg, e.jpg"."""
    runs: list[list[str]] = []
    inside = False
    for name in names:
        if name in chosen:
            if inside:
                runs[-1].append(name)
            else:
                runs.append([name])
        inside = name in chosen
    texts = [run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    return ", ".join(texts[:8]) + (f" and {len(texts) - 8} more stretches" if len(texts) > 8 else "")


def lens_warnings(result: "LadderResult", capture: Capture) -> list[str]:
    """Focal lengths that can hardly be true."""
    said = []
    votes = result.attempts[0]["focal_votes"]
    for key, camera in result.models[0]["cameras"].items():
        long_side = max(camera["width"], camera["height"])
        ratio = camera["focal_px"] / long_side
        if not FOCAL_RATIO[0] <= ratio <= FOCAL_RATIO[1]:
            degrees = float(np.rad2deg(2 * np.arctan(0.5 / ratio)))
            said.append(
                f"The focal length came out as {camera['focal_px']:.0f} px, a view of {degrees:.0f} degrees, which is "
                "implausible; the shape may be bent. Use a lens that the camera calls 1x, or photos with EXIF data."
            )
        vote = votes.get(key)
        if vote and vote["clear"] and vote["contrast"] >= SURE_VOTE:
            off = camera["focal_px"] / vote["focal_px"] - 1.0
            if abs(off) > VOTE_TOLERANCE:
                said.append(
                    f"The focal length came out as {camera['focal_px']:.0f} px, but pairs of views alone say "
                    f"{vote['focal_px']:.0f} px; the shape may be bent. Film with more sideways motion around the subject."
                )
        if camera["model"] in ("OPENCV", "FULL_OPENCV", "OPENCV_FISHEYE"):
            fx, fy = camera["params"][:2]
            if abs(fx / fy - 1.0) > ASPECT_TOLERANCE:
                said.append(
                    f"Pixels came out {abs(fx / fy - 1.0):.0%} longer one way than the other, which no camera's are; the "
                    "shape may be stretched. Film from more different directions."
                )
    known = [f for f in capture.focals_px if f]
    if known and result.models[0]["cameras"]:
        found = float(np.median([c["focal_px"] for c in result.models[0]["cameras"].values()]))
        if abs(found / float(np.median(known)) - 1.0) > VOTE_TOLERANCE:
            said.append(
                f"The focal length came out as {found:.0f} px, but the photos' EXIF data say {np.median(known):.0f} px; "
                "the shape may be bent if the photos weren't cropped."
            )
    return said


def coverage_warnings(model: pycolmap.Reconstruction, capture: Capture, result: "LadderResult") -> list[str]:
    """Frames that are missing, or hang by a thread."""
    said = []
    registered = {model.images[i].name for i in model.reg_image_ids()}
    missing = set(capture.names) - registered
    if missing:
        text = (
            f"Only {len(registered)} of {len(capture)} frames could be placed: the scene shows "
            f"{ranges(capture.names, registered)}, and lacks {ranges(capture.names, missing)}."
        )
        parts = [set(m["registered"]) - registered for m in result.models[1:]]
        parts = [p for p in parts if len(p) >= 2]
        if parts:
            text += (
                " The rest forms separate parts that don't connect with it: "
                + "; ".join(ranges(capture.names, part) for part in parts[:4])
                + "."
            )
        said.append(text + " Film that part again more slowly, with more overlap, or keep more frames.")
    if len(registered) < MIN_USEFUL_FRAMES:
        said.append(
            f"The model has {len(registered)} frames only, too few to be trusted; give more views of the subject."
        )
    weak = {model.images[i].name for i in model.reg_image_ids() if model.images[i].num_points3D < WEAK_FRAME_POINTS}
    if weak:
        said.append(
            f"{len(weak)} frame(s) rest on fewer than {WEAK_FRAME_POINTS} points and may be misplaced: "
            f"{ranges(capture.names, weak)}; more texture or overlap there would help."
        )
    return said


def path_warnings(model: pycolmap.Reconstruction, parallax: Parallax) -> list[str]:
    """Motions that leave the shape, or the lens, uncertain."""
    said = []
    if parallax.angle_deg < 2 * MIN_ANGLE_DEG:
        said.append(
            f"The views differ by {parallax.angle_deg:.1f} degrees only, so depth is uncertain; move further around the subject."
        )
    rotations, centres = poses(model)
    if len(centres) >= MIN_USEFUL_FRAMES:
        spread = np.linalg.svd(centres - centres.mean(0), compute_uv=False)
        turn = np.rad2deg(np.arccos(np.clip(((np.einsum("nij,ij->n", rotations, rotations[0])) - 1) / 2, -1, 1))).max()
        if spread[1] < LINE_RATIO * spread[0] and turn < 10.0:
            said.append(
                "The camera moved along a straight line without turning, so the focal length and the far background are "
                "uncertain; walk in an arc."
            )
    return said


def warnings_about(model: pycolmap.Reconstruction, capture: Capture, result: "LadderResult") -> list[str]:
    """Sentences about what is doubtful in a model that is kept.

    Raises:
        NoParallax: nothing can be made of it.
    """
    parallax = require_parallax(model)
    said = coverage_warnings(model, capture, result) + lens_warnings(result, capture) + path_warnings(model, parallax)
    error_px = float(model.compute_mean_reprojection_error())
    if error_px > HIGH_ERROR_PX:
        said.append(
            f"The mean reprojection error is {error_px:.1f} px, which is high; moving objects, rolling shutter or zooming "
            "while filming can cause it."
        )
    if len(result.attempts) > 1:
        said.append(f"{len(result.attempts)} attempts were needed to place the frames; see the attempts in the report.")
    return said
