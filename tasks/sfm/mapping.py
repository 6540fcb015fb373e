"""From verified matches to posed cameras and points: either mapper, then a last bundle adjustment of our own."""

import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any

import pycolmap

from tasks.sfm.child import Progress
from tasks.sfm.database import make_camera
from tasks.sfm.lens import FEW_FRAMES, best_lens
from tasks.sfm.recalibrate import recalibrated_copy
from tasks.sfm.rescue import rescue_frames

MIN_MODEL_FRAMES = 3
MIN_FRAME_POINTS = 15  # a pose has six unknowns, a point seen twice hardly one equation to spare
FOCAL_RATIOS = (0.4, 0.55, 0.75, 1.0, 1.4, 2.0)  # of the long side
BUNDLE_ITERATIONS = 30
FOCAL_AGREEMENT = 0.12  # a focal length that moves by more than this in mapping sends us round again
MAX_ROUNDS = 3
TRACKS_PER_VIEW = 150  # that global positioning uses of each view
MIN_TRIANGULATION_DEG = 1.0


def run_mapper(
    method: str,
    database: Path,
    images: Path,
    out: Path,
    *,
    seed: int,
    num_threads: int,
    progress: Progress,
    refine_focal: bool = True,
) -> list[pycolmap.Reconstruction]:
    """All models that the mapper makes, largest first."""
    out.mkdir(parents=True, exist_ok=True)
    with pycolmap.Database.open(database) as opened:
        total = opened.num_images()
    if method == "glomap":
        options = pycolmap.GlobalPipelineOptions()
        options.random_seed = seed
        options.num_threads = num_threads
        options.min_model_size = MIN_MODEL_FRAMES
        # Positions need few tracks; all others are triangulated afterwards, at a tenth of the time.
        options.mapper.track_required_tracks_per_view = TRACKS_PER_VIEW
        options.mapper.ba_num_iterations = 2
        options.mapper.skip_retriangulation = True
        options.mapper.bundle_adjustment.refine_focal_length = refine_focal
        progress(0, 1000, "solving for all cameras at once")
        models = pycolmap.global_mapping(database, images, out, options)
    else:
        options = pycolmap.IncrementalPipelineOptions()
        options.random_seed = seed
        options.num_threads = num_threads
        options.extract_colors = False
        options.min_model_size = MIN_MODEL_FRAMES
        options.ba_refine_focal_length = refine_focal
        options.mapper.abs_pose_refine_focal_length = refine_focal
        registered = 2

        def next_image() -> None:
            nonlocal registered
            registered += 1
            progress(
                min(950, 950 * registered // max(total, 1)), 1000, f"placed {min(registered, total)} of {total} frames"
            )

        models = pycolmap.incremental_mapping(database, images, out, options, next_image_callback=next_image)
    return sorted(models.values(), key=lambda m: (-m.num_reg_images(), -m.num_points3D()))


def triangulate(
    model: pycolmap.Reconstruction,
    database: Path,
    images: Path,
    scratch: Path,
    *,
    seed: int,
    num_threads: int,
    refine_focal: bool = True,
) -> pycolmap.Reconstruction:
    """The same cameras with points from all matches, those seen by two frames alone included, and lenses refined."""
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = seed
    options.num_threads = num_threads
    options.extract_colors = False
    options.ba_refine_focal_length = refine_focal
    options.triangulation.ignore_two_view_tracks = False
    return pycolmap.triangulate_points(model, database, images, scratch, True, options, True)


def adjust(model: pycolmap.Reconstruction, *, refine_focal: bool = True) -> None:
    """Bundle adjustment with a soft loss, in place."""
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.refine_focal_length = refine_focal
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    options.ceres.loss_function_scale = 1.0
    options.ceres.solver_options.max_num_iterations = BUNDLE_ITERATIONS
    options.ceres.solver_options.function_tolerance = 1e-5
    pycolmap.bundle_adjustment(model, options)


def drop_bad_observations(model: pycolmap.Reconstruction, error_px: float) -> None:
    """Observations off by more than `error_px`, and points seen under too small an angle or from behind, in place."""
    manager = pycolmap.ObservationManager(model)
    manager.filter_observations_with_negative_depth()
    manager.filter_all_points3D(error_px, MIN_TRIANGULATION_DEG)
    model.update_point_3d_errors()


def polish(model: pycolmap.Reconstruction, *, error_px: float, refine_focal: bool = True) -> None:
    """Adjust and drop in turn, with a falling threshold, in place."""
    for threshold in (1.5 * error_px, error_px):
        adjust(model, refine_focal=refine_focal)
        drop_bad_observations(model, threshold)
    adjust(model, refine_focal=refine_focal)
    model.update_point_3d_errors()


def drop_unsupported_frames(model: pycolmap.Reconstruction) -> list[str]:
    """Take the pose from frames that hardly any point supports, in place; returns their names.

    The global mapper gives a pose to every frame of a connected graph, with or without a reason.
    """
    dropped = []
    for image_id in list(model.reg_image_ids()):
        image = model.images[image_id]
        if image.num_points3D < MIN_FRAME_POINTS:
            dropped.append(image.name)
            pycolmap.ObservationManager(model).deregister_frame(image.frame_id)
    if dropped:
        model.update_point_3d_errors()
    return sorted(dropped)


def _summary(model: pycolmap.Reconstruction) -> dict[str, Any]:
    return {
        "registered": sorted(model.images[i].name for i in model.reg_image_ids()),
        "points": model.num_points3D(),
        "error_px": float(model.compute_mean_reprojection_error()) if model.num_points3D() else 0.0,
        "observations": model.compute_num_observations(),
        "cameras": {
            str(key): {
                "model": c.model_name,
                "params": c.params.tolist(),
                "width": c.width,
                "height": c.height,
                "focal_px": float(c.mean_focal_length()),
            }
            for key, c in model.cameras.items()
        },
    }


def _three_view_observations(model: pycolmap.Reconstruction) -> int:
    return sum(length for p in model.points3D.values() if (length := p.track.length()) >= 3)


def focal_hypotheses(
    database: Path,
    images: Path,
    scratch: Path,
    *,
    method: str,
    error_px: float,
    seed: int,
    num_threads: int,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Map with several focal lengths where nothing says which: the true one explains the most observations.

    Returns:
        one dict per focal length, best first: ratio (to the long side), observations (of points that three views or more
        agree on), registered, error_px, cameras (as refined, by id: model and params).
    """
    found: list[dict[str, Any]] = []
    for number, ratio in enumerate(FOCAL_RATIOS):
        progress(number, len(FOCAL_RATIOS), f"trying a focal length of {ratio:g} x the long side")
        with pycolmap.Database.open(database) as opened:
            cameras = {c.camera_id: c for c in opened.read_all_cameras()}
        for key, camera in cameras.items():
            focal = ratio * max(camera.width, camera.height)
            cameras[key] = make_camera(camera.width, camera.height, focal, model=camera.model_name, known=True)
        trial = scratch / f"focal-{number}.db"
        recalibrated_copy(database, trial, cameras, error_px=error_px, num_threads=num_threads)
        models = run_mapper(
            method, trial, images, scratch / "focal", seed=seed, num_threads=num_threads, progress=lambda *_: None
        )
        if models:
            best = triangulate(models[0], trial, images, scratch / "focal", seed=seed, num_threads=num_threads)
            polish(best, error_px=error_px)
            found.append(
                {
                    "ratio": ratio,
                    "observations": _three_view_observations(best),
                    "registered": best.num_reg_images(),
                    "error_px": float(best.compute_mean_reprojection_error()) if best.num_points3D() else 0.0,
                    "cameras": {
                        str(k): {"model": c.model_name, "params": c.params.tolist()} for k, c in best.cameras.items()
                    },
                }
            )
        trial.unlink()
    return sorted(found, key=lambda f: -f["observations"])


def _worth(model: pycolmap.Reconstruction) -> tuple[int, int]:
    return model.num_reg_images(), _three_view_observations(model)


def map_job(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Run a mapper on a database and polish its largest model; runs in a child process.

    Args:
        arguments: database, images, out (paths); method, seed, num_threads, filter_error_px, verify_error_px; lenses (by
            camera id: model and params, to verify all pairs with before mapping; may be empty); try_focals (whether the
            focal length is anybody's guess); trust_focals (whether EXIF tells all of them); frames (their count).

    Returns:
        models: a summary for each, largest first; the largest lies in `out` (empty list: nothing was found).
        lens: which lens models were tried; rescued: frames that were placed again; focals: which focal lengths were tried; seconds.
    """
    database, images, out = Path(arguments["database"]), Path(arguments["images"]), Path(arguments["out"])
    pycolmap.logging.minloglevel = 2
    seed, threads, error_px = arguments["seed"], arguments["num_threads"], arguments["filter_error_px"]
    pycolmap.set_random_seed(seed)
    started = time.perf_counter()
    scratch = out.with_name(out.name + "-models")
    scratch.mkdir(parents=True)
    lenses, focals = arguments["lenses"], []
    if arguments["try_focals"] and not lenses:
        focals = focal_hypotheses(
            database,
            images,
            scratch,
            method=arguments["method"],
            error_px=error_px,
            seed=seed,
            num_threads=threads,
            progress=lambda done, total, message: progress(int(400 * done / total), 1000, message),
        )
        lenses = focals[0]["cameras"] if focals else {}
    if lenses:
        with pycolmap.Database.open(database) as opened:
            sizes = {c.camera_id: (c.width, c.height) for c in opened.read_all_cameras()}
        cameras = {
            int(key): pycolmap.Camera(model=lens["model"], width=size[0], height=size[1], params=lens["params"])
            for key, lens in lenses.items()
            if (size := sizes[int(key)])
        }
        copy = scratch / "lenses.db"
        recalibrated_copy(database, copy, cameras, error_px=arguments["verify_error_px"], num_threads=threads)
        database = copy
    # The EXIF focal length of a few photos is better than what they themselves could say.
    refine_focal = not (arguments["trust_focals"] and arguments["frames"] < FEW_FRAMES)
    best: pycolmap.Reconstruction | None = None
    rescued: list[str] = []
    models: list[pycolmap.Reconstruction] = []
    for round_number in range(MAX_ROUNDS):
        start = 400 + 150 * round_number
        made = run_mapper(
            arguments["method"],
            database,
            images,
            scratch / "models",
            seed=seed,
            num_threads=threads,
            refine_focal=refine_focal,
            progress=lambda done, total, message, start=start: progress(start + 100 * done // total, 1000, message),
        )
        if not made:
            break
        progress(start + 100, 1000, "placing points")
        refined = triangulate(
            made[0],
            database,
            images,
            scratch / "models",
            seed=seed,
            num_threads=threads,
            refine_focal=refine_focal,
        )
        progress(start + 130, 1000, "refining cameras and points")
        polish(refined, error_px=error_px, refine_focal=refine_focal)
        moved = rescue_frames(refined, database, seed=seed)
        if moved:
            rescued += [name for name in moved if name not in rescued]
            refined = triangulate(
                refined,
                database,
                images,
                scratch / "models",
                seed=seed,
                num_threads=threads,
                refine_focal=refine_focal,
            )
            polish(refined, error_px=error_px, refine_focal=refine_focal)
        if best is not None and _worth(refined) < _worth(best):
            break
        best, models = refined, made
        with pycolmap.Database.open(database) as opened:
            off = max(
                abs(camera.mean_focal_length() / opened.read_camera(key).mean_focal_length() - 1.0)
                for key, camera in refined.cameras.items()
            )
        if off < FOCAL_AGREEMENT or round_number == MAX_ROUNDS - 1:
            break
        # Pairs were verified, and rotations averaged, with a lens that turned out wrong: once more with the one found.
        again = scratch / f"round-{round_number}.db"
        cameras = {key: pycolmap.Camera(camera.todict()) for key, camera in refined.cameras.items()}
        recalibrated_copy(database, again, cameras, error_px=arguments["verify_error_px"], num_threads=threads)
        database = again
    mapped = time.perf_counter()
    summaries = []
    lens_trials: list[dict[str, Any]] = []
    if best is not None:
        progress(930, 1000, "choosing the lens model")
        best, lens_trials = best_lens(best, partial(adjust, refine_focal=refine_focal))
        drop_bad_observations(best, error_px)
        drop_unsupported_frames(best)
        models[0] = best
        models = [m for m in models if m.num_reg_images() >= MIN_MODEL_FRAMES and m.num_points3D() > 0]
        summaries = [_summary(m) for m in models] if models and models[0] is best else []
        if summaries:
            out.mkdir(parents=True)
            best.write(out)
    shutil.rmtree(scratch, ignore_errors=True)
    return {
        "models": summaries,
        "lens": lens_trials,
        "rescued": sorted(rescued),
        "focals": focals,
        "seconds": {"mapping": mapped - started, "polish": time.perf_counter() - mapped},
    }
