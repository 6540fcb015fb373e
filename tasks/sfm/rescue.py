"""Frames that the mapper misplaced or left out, placed again by the points that their neighbours agree on.

Global positioning works on few tracks a view, so now and then a frame ends in a wrong place, where hardly any of its matches
become points. Its matches to points of the other frames then give its pose directly (P3P in RANSAC, refined).
"""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pycolmap

WEAK_SHARE = 0.3  # of the median frame's points
MIN_INLIERS = 25
MIN_GAIN = 1.5  # times the points that the frame has now
ERROR_PX = 6.0


def _correspondences(model: pycolmap.Reconstruction, database: Path, wanted: set[int]) -> dict[int, dict[int, int]]:
    """For each wanted image: keypoint index -> id of the point that most of its matches in other registered images see."""
    registered = set(model.reg_image_ids()) - wanted
    votes: dict[int, dict[int, dict[int, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    with pycolmap.Database.open(database) as opened:
        ids, geometries = opened.read_two_view_geometries()
    for pair_id, geometry in zip(ids, geometries, strict=True):
        pair = pycolmap.pair_id_to_image_pair(pair_id)
        for side in (0, 1):
            image_id, other_id = pair[side], pair[1 - side]
            if image_id not in wanted or other_id not in registered:
                continue
            seen = model.images[other_id].points2D
            for match in geometry.inlier_matches:
                point = seen[int(match[1 - side])]
                if point.has_point3D():
                    votes[image_id][int(match[side])][point.point3D_id] += 1
    return {
        image_id: {index: max(points, key=lambda p: (points[p], -p)) for index, points in by_index.items()}
        for image_id, by_index in votes.items()
    }


def rescue_frames(model: pycolmap.Reconstruction, database: Path, *, seed: int) -> list[str]:
    """Give weak and unregistered frames the pose that their matches to the others' points ask for, in place.

    Points have to be triangulated afresh afterwards, if any frame moved.

    Returns:
        names of the frames that got a new pose.
    """
    registered = set(model.reg_image_ids())
    counts = {i: model.images[i].num_points3D for i in registered}
    if not counts:
        return []
    weak = {i for i, n in counts.items() if n < WEAK_SHARE * float(np.median(list(counts.values())))}
    wanted = weak | (set(model.images) - registered)
    found = _correspondences(model, database, wanted) if wanted else {}
    moved = []
    for image_id in sorted(found):
        # Taking away an earlier frame may have taken points that only it and another one saw.
        links = {index: point for index, point in found[image_id].items() if model.exists_point3D(point)}
        image = model.images[image_id]
        if len(links) < MIN_INLIERS:
            continue
        options = pycolmap.AbsolutePoseEstimationOptions()
        options.ransac.max_error = ERROR_PX
        options.ransac.random_seed = seed
        answer = pycolmap.estimate_and_refine_absolute_pose(
            np.array([image.points2D[index].xy for index in links]),
            np.array([model.points3D[point].xyz for point in links.values()]),
            model.cameras[image.camera_id],
            options,
        )
        if answer is None or answer["num_inliers"] < max(MIN_INLIERS, MIN_GAIN * counts.get(image_id, 0)):
            continue
        frame_id = image.frame_id
        if image_id in registered:
            pycolmap.ObservationManager(model).deregister_frame(frame_id)
        model.frames[frame_id].set_cam_from_world(image.camera_id, answer["cam_from_world"])
        model.register_frame(frame_id)
        moved.append(image.name)
    return moved
