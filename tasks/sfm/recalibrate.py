"""The two-view geometries of a database once more, with other lenses than they were made with."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pycolmap

from tasks.sfm.database import frame_index, write_geometries
from tasks.sfm.matching import Pair
from tasks.sfm.verification import MIN_INLIER_RATIO, MIN_INLIERS, Epipolar, for_all_pairs, two_view_geometry


def recalibrated_copy(
    database: Path, copy: Path, cameras: Mapping[int, pycolmap.Camera], *, error_px: float, num_threads: int
) -> None:
    """Write `copy`: the database with these cameras (by id), and every pair verified by an essential matrix under them.

    All matches take part again: under strong distortion the fundamental matrix, which knows straight lines only, has dropped
    good ones.
    """
    shutil.copyfile(database, copy)
    with pycolmap.Database.open(copy) as opened:
        for key, camera in cameras.items():
            camera.camera_id = key
            camera.has_prior_focal_length = True
            opened.update_camera(camera)
        by_id = {camera.camera_id: camera for camera in opened.read_all_cameras()}
        images = sorted(opened.read_all_images(), key=lambda image: image.image_id)
        lenses = {frame_index(image.image_id): by_id[image.camera_id] for image in images}
        points = {
            frame_index(image.image_id): opened.read_keypoints(image.image_id)[:, :2].astype(np.float64)
            for image in images
        }
        ids, matches = opened.read_all_matches()
        found: dict[Pair, np.ndarray] = {}
        for pair_id, pair_matches in zip(ids, matches, strict=True):
            a, b = pycolmap.pair_id_to_image_pair(pair_id)
            if len(pair_matches) >= MIN_INLIERS:
                found[frame_index(a), frame_index(b)] = np.asarray(pair_matches)
        opened.clear_two_view_geometries()

    def one(pair: Pair) -> pycolmap.TwoViewGeometry | None:
        i, j = pair
        whole = Epipolar(fundamental=np.zeros((3, 3)), matches=found[pair])
        return two_view_geometry(
            points[i], points[j], whole, lenses[i], lenses[j], error_px=error_px, min_ratio=MIN_INLIER_RATIO
        )

    write_geometries(copy, for_all_pairs(one, list(found), num_threads=num_threads, progress=lambda done, total: None))
