"""From verified matches to posed cameras and points: either mapper, then a last bundle adjustment of our own."""

import shutil
import time
from pathlib import Path
from typing import Any

import pycolmap

from tasks.sfm.child import Progress
from tasks.sfm.lens import best_lens

MIN_MODEL_FRAMES = 3
TRACKS_PER_VIEW = 150  # that global positioning uses of each view
MIN_TRIANGULATION_DEG = 1.0


def run_mapper(
    method: str, database: Path, images: Path, out: Path, *, seed: int, num_threads: int, progress: Progress
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
        progress(0, 1000, "solving for all cameras at once")
        models = pycolmap.global_mapping(database, images, out, options)
    else:
        options = pycolmap.IncrementalPipelineOptions()
        options.random_seed = seed
        options.num_threads = num_threads
        options.extract_colors = False
        options.min_model_size = MIN_MODEL_FRAMES
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
    model: pycolmap.Reconstruction, database: Path, images: Path, scratch: Path, *, seed: int, num_threads: int
) -> pycolmap.Reconstruction:
    """The same cameras with points from all matches, those seen by two frames alone included, and lenses refined."""
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = seed
    options.num_threads = num_threads
    options.extract_colors = False
    options.triangulation.ignore_two_view_tracks = False
    return pycolmap.triangulate_points(model, database, images, scratch, True, options, True)


def adjust(model: pycolmap.Reconstruction, *, principal_point: bool = False, iterations: int = 30) -> None:
    """Bundle adjustment with a soft loss, in place."""
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.refine_principal_point = principal_point
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    options.ceres.loss_function_scale = 1.0
    options.ceres.solver_options.max_num_iterations = iterations
    options.ceres.solver_options.function_tolerance = 1e-5
    pycolmap.bundle_adjustment(model, options)


def drop_bad_observations(model: pycolmap.Reconstruction, error_px: float) -> None:
    """Observations off by more than `error_px`, and points seen under too small an angle or from behind, in place."""
    manager = pycolmap.ObservationManager(model)
    manager.filter_observations_with_negative_depth()
    manager.filter_all_points3D(error_px, MIN_TRIANGULATION_DEG)
    model.update_point_3d_errors()


def polish(model: pycolmap.Reconstruction, *, error_px: float) -> None:
    """Adjust and drop in turn, with a falling threshold, in place."""
    for threshold in (1.5 * error_px, error_px):
        adjust(model)
        drop_bad_observations(model, threshold)
    adjust(model)
    model.update_point_3d_errors()


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


def map_job(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Run a mapper on a database and polish its largest model; runs in a child process.

    Args:
        arguments: database, images, out (paths); method, seed, num_threads, filter_error_px.

    Returns:
        models: a summary for each, largest first; the largest lies in `out` (empty list: nothing was found).
        lens: which lens models were tried; seconds.
    """
    database, images, out = Path(arguments["database"]), Path(arguments["images"]), Path(arguments["out"])
    pycolmap.logging.minloglevel = 2
    pycolmap.set_random_seed(arguments["seed"])
    started = time.perf_counter()
    scratch = out.with_name(out.name + "-models")
    models = run_mapper(
        arguments["method"],
        database,
        images,
        scratch,
        seed=arguments["seed"],
        num_threads=arguments["num_threads"],
        progress=lambda done, total, message: progress(int(800 * done / total), 1000, message),
    )
    mapped = time.perf_counter()
    summaries = []
    lens_trials: list[dict[str, Any]] = []
    if models:
        progress(800, 1000, "placing points")
        best = models[0]
        best = triangulate(
            best, database, images, scratch, seed=arguments["seed"], num_threads=arguments["num_threads"]
        )
        progress(870, 1000, "refining cameras and points")
        polish(best, error_px=arguments["filter_error_px"])
        progress(900, 1000, "choosing the lens model")
        models[0], lens_trials = best_lens(best, adjust)
        drop_bad_observations(models[0], arguments["filter_error_px"])
        out.mkdir(parents=True)
        models[0].write(out)
        summaries = [_summary(m) for m in models]
    shutil.rmtree(scratch, ignore_errors=True)
    return {
        "models": summaries,
        "lens": lens_trials,
        "seconds": {"mapping": mapped - started, "polish": time.perf_counter() - mapped},
    }
