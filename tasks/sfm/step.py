"""The structure-from-motion step: frames in, posed and undistorted views out."""

import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from tasks.errors import DiskFull, OutputUnwritable
from tasks.geometry.cameras import rays_from_pixels
from tasks.geometry.pinhole import Pinhole, fit_pinhole
from tasks.sfm import checks
from tasks.sfm.capture import Capture, read_capture
from tasks.sfm.ladder import climb
from tasks.sfm.options import SfmOptions, SfmRecord
from tasks.sfm.orient import orient
from tasks.sfm.subject import background_stands_still, require_masks, sightings, undistort_masks
from tasks.sfm.undistort import undistort_all

Progress = Callable[[int, int, str], None]
TOTAL = 1000
UNDISTORT_FROM = 930


@contextmanager
def fresh_folder(out: Path) -> Iterator[Path]:
    """A sibling of `out` that becomes `out` when all went well and vanishes when not.

    Raises:
        OutputUnwritable: the place can't be written to, or holds something already.
        DiskFull: no space left.
    """
    part: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise OutputUnwritable(f"{out} exists already and isn't empty; choose another folder or remove it.")
        part = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        yield part
        part.chmod(0o755)
        if out.exists():
            out.rmdir()
        part.rename(out)
        part = None
    except OSError as error:
        raise storage_error(error, out) from error
    except Exception as error:
        if "disk is full" in str(error) or os.strerror(errno.ENOSPC) in str(error):  # SQLite and COLMAP, in a child
            raise DiskFull(f"No space is left where {out} lies; free some and run again.") from error
        raise
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)


def storage_error(error: OSError, out: Path) -> Exception:
    """The error that tells a user what to do about this one; the same where it's not about storage."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"No space is left where {out} lies; free some and run again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return OutputUnwritable(f"{out} can't be written to; choose a folder that you may write to.")
    return error


def write_posed(
    model: pycolmap.Reconstruction,
    capture: Capture,
    out: Path,
    options: SfmOptions,
    *,
    num_threads: int,
    progress: Callable[[int, int], None],
    masks: Path | None = None,
) -> tuple[dict[int, Pinhole], list[str]]:
    """`images/` and `colmap/` of a model whose cameras still have their lenses.

    Observations move to where they are in the undistorted images. With the mask step's folder as `masks` there is `masks/`, too.

    Returns:
        the pinhole of each camera, and the names of the frames whose masks the other views mended.
    """
    images, colmap = out / "images", out / "colmap"
    images.mkdir()
    colmap.mkdir()
    used = {model.images[i].camera_id for i in model.reg_image_ids()}
    lenses = {key: pycolmap.Camera(model.cameras[key].todict()) for key in used}
    pinholes = {key: fit_pinhole(lens, options.image_side_px) for key, lens in lenses.items()}
    jobs = sorted((model.images[i].name, model.images[i].camera_id) for i in model.reg_image_ids())
    cameras = {key: (lenses[key], pinholes[key]) for key in used}
    rounds = 1 if masks is None else 2
    undistort_all(
        capture,
        jobs,
        cameras,
        images,
        jpeg_quality=options.jpeg_quality,
        num_threads=num_threads,
        progress=lambda done, total: progress(done, rounds * total),
    )
    mended: list[str] = []
    if masks is not None:
        (out / "masks").mkdir()
        mended = undistort_masks(
            capture,
            masks,
            jobs,
            cameras,
            sightings(model, [name for name, _ in jobs]),
            out / "masks",
            num_threads=num_threads,
            progress=lambda done, total: progress(total + done, 2 * total),
        )
    for image_id in model.reg_image_ids():
        image = model.images[image_id]
        if not len(image.points2D):
            continue
        pinhole = pinholes[image.camera_id]
        rays = rays_from_pixels(lenses[image.camera_id], np.array([p.xy for p in image.points2D]))
        xy = rays * pinhole.focal_px + [pinhole.cx, pinhole.cy]
        for point, place in zip(image.points2D, np.nan_to_num(xy, nan=-1.0), strict=True):
            point.xy = place
    for key, pinhole in pinholes.items():
        camera = pinhole.camera(key)
        model.cameras[key].model = camera.model
        model.cameras[key].width, model.cameras[key].height = camera.width, camera.height
        model.cameras[key].params = camera.params.tolist()
    model.update_point_3d_errors()
    model.write(colmap)
    return pinholes, mended


def reconstruct(
    extracted: Path, out: Path, options: SfmOptions, progress: Progress, masks: Path | None = None
) -> SfmRecord:
    """Pose the frames of `extracted`, and write undistorted views, a COLMAP model and `sfm.json` to the new folder `out`.

    The heavy parts run in child processes, which die within a second when `progress` raises (as Ctrl-C makes it).

    Args:
        masks: the mask step's folder. With it the masks are undistorted, too, to `masks/<image stem>.png`, and mended where other
            views of the same points contradict them. Poses still come from whole frames, unless `mask.json` says that the
            background stands still: then from features on the subject.

    Raises:
        BadPosedInput: masks that don't fit the frames.
        TooFewFrames: under three frames.
        NoParallax: the camera only turned or stood still.
        TooLittleOverlap: no part of the frames connects.
        DiskFull, OutputUnwritable: nothing is left behind in either case.
    """
    started = time.perf_counter()
    capture = read_capture(extracted)
    threads = options.num_threads or len(os.sched_getaffinity(0))
    subject_only = False
    if masks is not None:
        subject_only = background_stands_still(masks)
        require_masks(masks, capture)
    with fresh_folder(out) as part:
        work = part / "work"
        work.mkdir()
        result = climb(
            extracted,
            capture,
            work,
            options,
            num_threads=threads,
            progress=lambda done, total, message: progress(UNDISTORT_FROM * done // total, TOTAL, message),
            masks=masks if subject_only else None,
        )
        model = pycolmap.Reconstruction(result.model)
        error_px = float(model.compute_mean_reprojection_error())
        warnings = checks.warnings_about(model, capture, result)
        lens = {
            str(key): {"model": c.model_name, "params": c.params.tolist(), "width": c.width, "height": c.height}
            for key, c in model.cameras.items()
        }
        model.extract_colors_for_all_images(capture.folder)
        oriented = orient(model, seed=options.seed)
        registered = sorted(model.images[i].name for i in model.reg_image_ids())
        pinholes, masks_mended = write_posed(
            model,
            capture,
            part,
            options,
            num_threads=threads,
            progress=lambda done, total: progress(
                UNDISTORT_FROM + (TOTAL - UNDISTORT_FROM) * done // total,
                TOTAL,
                f"undistorting {done} of {total} pictures",
            ),
            masks=masks,
        )
        shutil.rmtree(work)
        main = max(pinholes, key=lambda key: sum(model.images[i].camera_id == key for i in model.reg_image_ids()))
        record = SfmRecord(
            frames_given=len(capture),
            frames_registered=len(registered),
            points=model.num_points3D(),
            reprojection_error_px=error_px,
            method=result.method,
            attempts=tuple(result.attempts),
            warnings=tuple(warnings),
            focal_px=float(pinholes[main].focal_px),
            width=pinholes[main].width,
            height=pinholes[main].height,
            subject_only=subject_only,
        )
        missing = set(capture.names) - set(registered)
        details: dict[str, Any] = {
            **asdict(record),
            "options": asdict(options),
            "frames": [{"name": name, "registered": name not in missing} for name in capture.names],
            "lenses": lens,
            "masks_mended": masks_mended,
            "world_from_sfm": oriented.world_from_sfm.matrix().tolist(),
            "gravity": {"roll_deg": oriented.gravity.roll_deg, "source": oriented.gravity.source},
            "observations": model.compute_num_observations(),
            "mean_track_length": float(model.compute_mean_track_length()),
            "seconds": time.perf_counter() - started,
        }
        (part / "sfm.json").write_text(json.dumps(details, indent=1))
    return record
