"""Our features and matches as a COLMAP database."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pycolmap

from tasks.sfm.capture import Capture
from tasks.sfm.features import Features
from tasks.sfm.matching import Pair

FOCAL_GUESS = 1.2  # x long side, COLMAP's own guess where nothing is known


def image_id(index: int) -> int:
    """Database id of the frame with this place in the capture."""
    return index + 1


def make_camera(width: int, height: int, focal_px: float, *, model: str, known: bool) -> pycolmap.Camera:
    """A camera with this focal length, its principal point in the middle and no distortion."""
    camera = pycolmap.Camera.create_from_model_name(0, model, focal_px, width, height)
    camera.has_prior_focal_length = known
    return camera


def write_database(path: Path, capture: Capture, features: Sequence[Features], *, model: str) -> None:
    """Cameras, one frame per image, and keypoints; a camera's focal length is the median of those given for its frames."""
    with pycolmap.Database.open(path) as database, pycolmap.DatabaseTransaction(database):
        rigs: dict[int, int] = {}
        ids: dict[int, int] = {}
        for index, key in enumerate(capture.cameras):
            if key not in rigs:
                members = [i for i, k in enumerate(capture.cameras) if k == key]
                known = [f for i in members if (f := capture.focals_px[i]) is not None]
                width, height = capture.sizes[index]
                focal = float(np.median(known)) if known else FOCAL_GUESS * max(width, height)
                camera = make_camera(width, height, focal, model=model, known=bool(known))
                ids[key] = camera.camera_id = database.write_camera(camera)
                rig = pycolmap.Rig()
                rig.add_ref_sensor(camera.sensor_id)
                rigs[key] = database.write_rig(rig)
            image = pycolmap.Image(name=capture.names[index], camera_id=ids[key], image_id=image_id(index))
            database.write_image(image, use_image_id=True)
            frame = pycolmap.Frame(rig_id=rigs[key], frame_id=image_id(index))
            frame.add_data_id(image.data_id)
            database.write_frame(frame, use_frame_id=True)
            database.write_keypoints(image_id(index), features[index].keypoints)


def write_matches(path: Path, matches: Mapping[Pair, np.ndarray]) -> None:
    """Matches of pairs of places in the capture; a pair that is there already is left alone."""
    with pycolmap.Database.open(path) as database, pycolmap.DatabaseTransaction(database):
        for (i, j), found in matches.items():
            if len(found) and not database.exists_matches(image_id(i), image_id(j)):
                database.write_matches(image_id(i), image_id(j), found)


def write_geometries(path: Path, geometries: Mapping[Pair, pycolmap.TwoViewGeometry]) -> None:
    """Two-view geometries of pairs of places in the capture; a pair that is there already is left alone."""
    with pycolmap.Database.open(path) as database, pycolmap.DatabaseTransaction(database):
        for (i, j), geometry in geometries.items():
            if not database.exists_two_view_geometry(image_id(i), image_id(j)):
                database.write_two_view_geometry(image_id(i), image_id(j), geometry)


def frame_index(database_id: int) -> int:
    """Place in the capture of a database id: the inverse of `image_id`."""
    return database_id - 1


def count_verified(path: Path) -> int:
    """Pairs with a two-view geometry."""
    with pycolmap.Database.open(path) as database:
        return database.num_verified_image_pairs()
