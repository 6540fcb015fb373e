"""From frames to verified matches in a COLMAP database: the part that runs before a mapper."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from tasks.geometry.cameras import with_focal
from tasks.sfm.capture import Capture, read_capture
from tasks.sfm.child import Progress
from tasks.sfm.database import count_verified, frame_index, image_id, write_database, write_geometries, write_matches
from tasks.sfm.features import Features, detect_all
from tasks.sfm.focal import vote
from tasks.sfm.lens import starting_lens
from tasks.sfm.matching import Pair, match_all, unit_descriptors
from tasks.sfm.pairs import exhaustive_pairs, sequential_pairs
from tasks.sfm.retrieval import confirm, propose, similarity_matrix
from tasks.sfm.subject import on_subject, read_alpha
from tasks.sfm.turning import measure_turning
from tasks.sfm.verification import Epipolar, calibrate_all, homographies, verify_all

CONFIRM_MATCHES = 12
MIN_VOTE_INLIERS = 30
MAX_VOTE_HOMOGRAPHY = 0.8


def choose_pairs(
    capture: Capture,
    descriptors: list[np.ndarray],
    *,
    overlap: int,
    retrieval: int,
    exhaustive_up_to: int,
    ratio: float,
    seed: int,
) -> list[Pair]:
    """Neighbours in time and where a loop closes for a video; look-alikes, or everything, for photos."""
    count = len(capture)
    if not capture.ordered and count <= exhaustive_up_to:
        return exhaustive_pairs(count)
    pairs = set(sequential_pairs(count, overlap)) if capture.ordered else set()
    if retrieval:
        similarity = similarity_matrix(descriptors, seed=seed)
        if capture.ordered:
            proposed = propose(similarity, retrieval, min_gap=overlap + 1)
            pairs |= set(
                confirm(descriptors, [p for p in proposed if p not in pairs], ratio=ratio, min_matches=CONFIRM_MATCHES)
            )
        else:
            pairs |= set(propose(similarity, max(20, 5 * retrieval), min_gap=1))
    return sorted(pairs)


def _load_features(path: Path) -> list[Features]:
    with np.load(path) as stored:
        splits = np.cumsum(stored["counts"])[:-1]
        keypoints, descriptors = np.split(stored["keypoints"], splits), np.split(stored["descriptors"], splits)
    return [Features(keypoints=k, descriptors=d) for k, d in zip(keypoints, descriptors, strict=True)]


def _save_features(path: Path, features: list[Features]) -> None:
    with path.open("wb") as file:
        np.savez(
            file,
            counts=np.array([len(f.keypoints) for f in features]),
            keypoints=np.concatenate([f.keypoints for f in features]),
            descriptors=np.concatenate([f.descriptors for f in features]),
        )


def _vote(
    database: Path, capture: Capture, verified: dict[Pair, Epipolar], shares: dict[Pair, float]
) -> dict[str, dict[str, Any]]:
    """Give every camera without a known focal length the one that its own pairs vote for; kept for later calls.

    Pairs that a homography explains don't vote: their fundamental matrix is arbitrary.
    """
    kept = database.with_suffix(".votes.json")
    if kept.exists():
        return json.loads(kept.read_text())
    votes: dict[str, dict[str, Any]] = {}
    with pycolmap.Database.open(database) as db:
        camera_of = [db.read_image(image_id(i)).camera_id for i in range(len(capture))]
        for camera in db.read_all_cameras():
            own = [
                verified[i, j]
                for (i, j), share in shares.items()
                if camera_of[i] == camera_of[j] == camera.camera_id
                and share < MAX_VOTE_HOMOGRAPHY
                and len(verified[i, j].matches) >= MIN_VOTE_INLIERS
            ]
            if camera.has_prior_focal_length or not own:
                continue
            found = vote(
                [e.fundamental for e in own],
                [len(e.matches) for e in own],
                width=camera.width,
                height=camera.height,
            )
            votes[str(camera.camera_id)] = asdict(found)
            if not found.clear:
                continue
            camera.params = with_focal(camera, found.focal_px)
            camera.has_prior_focal_length = True
            db.update_camera(camera)
    kept.write_text(json.dumps(votes))
    return votes


def match_job(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Features, pairs, matches and two-view geometries; runs in a child process.

    Features are kept beside the database, and pairs that it holds are not matched again: a second call with more pairs costs
    only those.

    Args:
        arguments: extracted, database (paths); masks (the mask step's folder when only the subject's features count, else
            None); max_features, feature_side_px, overlap, retrieval, exhaustive_up_to, match_ratio, verify_error_px, seed,
            num_threads.

    Returns:
        pairs, verified_pairs, features_per_frame and seconds per stage.
    """
    capture = read_capture(Path(arguments["extracted"]))
    database = Path(arguments["database"])
    threads, seed, ratio = arguments["num_threads"], arguments["seed"], arguments["match_ratio"]
    pycolmap.logging.minloglevel = 2
    pycolmap.set_random_seed(seed)
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal clock
        seconds[name], clock = time.perf_counter() - clock, time.perf_counter()

    masks = Path(arguments["masks"]) if arguments.get("masks") else None

    def subject(index: int) -> np.ndarray:
        assert masks is not None
        return on_subject(read_alpha(masks, capture.names[index], capture.sizes[index]))

    stored = database.with_suffix(".npz")
    if stored.exists():
        features = _load_features(stored)
    else:
        features = detect_all(
            capture,
            side_px=arguments["feature_side_px"],
            count=arguments["max_features"],
            num_threads=threads,
            progress=lambda done, total: progress(int(350 * done / total), 1000, f"features {done} of {total}"),
            where=None if masks is None else subject,
        )
        _save_features(stored, features)
        write_database(database, capture, features, model=starting_lens(len(capture)))
    lap("features")
    descriptors = [unit_descriptors(f) for f in features]
    pairs = choose_pairs(
        capture,
        descriptors,
        overlap=arguments["overlap"],
        retrieval=arguments["retrieval"],
        exhaustive_up_to=arguments["exhaustive_up_to"],
        ratio=ratio,
        seed=seed,
    )
    lap("retrieval")
    with pycolmap.Database.open(database) as db:
        done_before = {
            (frame_index(a), frame_index(b)) for a, b in map(pycolmap.pair_id_to_image_pair, db.read_num_matches()[0])
        }
    todo = [pair for pair in pairs if pair not in done_before]
    matches = match_all(
        descriptors,
        todo,
        ratio=ratio,
        num_threads=threads,
        progress=lambda done, total: progress(350 + int(350 * done / total), 1000, f"matching {done} of {total} pairs"),
    )
    lap("matching")
    points = [np.ascontiguousarray(f.keypoints[:, :2], np.float64) for f in features]
    verified = verify_all(
        points,
        matches,
        error_px=arguments["verify_error_px"],
        num_threads=threads,
        progress=lambda done, total: progress(700 + int(150 * done / total), 1000, f"checking {done} of {total} pairs"),
    )
    planar = homographies(points, verified, error_px=arguments["verify_error_px"])
    width, height = capture.sizes[0]
    turning = measure_turning(list(planar.values()), width=width, height=height)
    votes = _vote(database, capture, verified, {pair: h.share for pair, h in planar.items()})
    with pycolmap.Database.open(database) as db:
        by_id = {camera.camera_id: camera for camera in db.read_all_cameras()}
        cameras = [by_id[db.read_image(image_id(i)).camera_id] for i in range(len(capture))]
    known = all(camera.has_prior_focal_length for camera in by_id.values())
    geometries = calibrate_all(
        points,
        verified,
        cameras,
        error_px=arguments["verify_error_px"],
        num_threads=threads,
        progress=lambda done, total: progress(850 + int(150 * done / total), 1000, f"checking {done} of {total} pairs"),
    )
    write_matches(database, matches)
    write_geometries(database, geometries)
    lap("verification")
    return {
        "focal_votes": votes,
        "focal_known": known,
        "turning": {**asdict(turning), "only": turning.only},
        "pairs": len(todo) + len(done_before),
        "verified_pairs": count_verified(database),
        "features_per_frame": float(np.mean([len(f.keypoints) for f in features])),
        "seconds": seconds,
    }
