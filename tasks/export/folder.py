"""The posed views in the result folder."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import pycolmap

from tasks.errors import BadPosedInput
from tasks.geometry.posed import mask_name

IMAGE_SIDE_PX = 1_600  # cap on the long side of `images/`, as every metric's
JPEG_QUALITY = 98
MODEL_PARTS = ("cameras", "images", "points3D", "frames", "rigs")
CANT_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}


def place_posed_views(
    posed: Path,
    out: Path,
    model: pycolmap.Reconstruction,
    *,
    link: bool,
    masks: Path | None = None,
    write_model: bool = False,
    progress: Callable[[int, int], None],
) -> int:
    """`out/images` and `out/colmap` with the posed views of the model, `out/masks` with their masks; returns their number.

    Views whose long side is over 1,600 px are scaled down to it, and the model with them, so that the result agrees with
    its metrics; everything else is taken over byte for byte.

    Args:
        posed: has `images/` and `colmap/`.
        out: an existing folder.
        model: `posed/colmap`, with poses.
        masks: of the views, by name as PNG; None: there are none.
        write_model: the model is not any more what `posed/colmap` holds.
        link: files may share their bytes with the input. Not for a client's own folder: what is edited in the result
            must not change there.
        progress: called as (done, total) images.

    Raises:
        BadPosedInput: an image of the model is missing, or its name leads out of `images/`.
        OSError
    """
    names = sorted(image.name for image in model.images.values() if image.has_pose)
    large = {
        key: scaled_size(camera.width, camera.height)
        for key, camera in model.cameras.items()
        if max(camera.width, camera.height) > IMAGE_SIDE_PX
    }
    camera_of = {image.name: image.camera_id for image in model.images.values()}
    for number, name in enumerate(names):
        source, target = inside(posed / "images", name), inside(out / "images", name)
        if not source.is_file():
            raise BadPosedInput(f"images/{name} is missing; every image of the model must be there.")
        target.parent.mkdir(parents=True, exist_ok=True)
        if camera_of[name] in large:
            _write_scaled(source, target, large[camera_of[name]], name)
        else:
            place(source, target, link=link)
        if masks is not None:
            _place_mask(masks, out, name, large.get(camera_of[name]), link=link)
        progress(number + 1, len(names))
    (out / "colmap").mkdir()
    if large or write_model:
        rescale(model, large)
        model.write(out / "colmap")
    else:
        for path in sorted((posed / "colmap").iterdir()):
            if path.is_file() and path.stem in MODEL_PARTS and path.suffix in (".bin", ".txt"):
                place(path, out / "colmap" / path.name, link=link)
    return len(names)


def inside(folder: Path, name: str) -> Path:
    """The file `name` below `folder`; BadPosedInput when the name leads out of it."""
    path = Path(os.path.normpath(folder / name))
    if not path.is_relative_to(os.path.normpath(folder)) or "\0" in name or path == folder:
        raise BadPosedInput(f"The model has an image named {name!r}, which leads out of images/; rename it.")
    return path


def place(source: Path, target: Path, *, link: bool) -> None:
    """`target` with the bytes of `source`: a hard link where it is allowed and possible, else a copy."""
    if link and not source.is_symlink():
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in CANT_LINK:
                raise
        else:
            return
    shutil.copyfile(source, target)


def scaled_size(width: int, height: int) -> tuple[int, int]:
    """Width and height with the long side at the cap of `images/`; never larger than given."""
    factor = min(1.0, IMAGE_SIDE_PX / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def rescale(model: pycolmap.Reconstruction, sizes: dict[int, tuple[int, int]]) -> None:
    """Changes cameras of the model to new sizes, and the observations in their images."""
    factors = {}
    for key, (width, height) in sizes.items():
        camera = model.cameras[key]
        factors[key] = (width / camera.width, height / camera.height)
        camera.rescale(width, height)
    for image in model.images.values():
        if image.camera_id in factors:
            for point in image.points2D:
                point.xy = point.xy * factors[image.camera_id]


def _place_mask(masks: Path, out: Path, name: str, size: tuple[int, int] | None, *, link: bool) -> None:
    """The mask of a view, where it has one, in the size of the view."""
    relative = mask_name(name)
    source, target = inside(masks, relative), inside(out / "masks", relative)
    if not source.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if size is None:
        place(source, target, link=link)
        return
    mask = cv2.imread(str(source), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise BadPosedInput(f"masks/{relative} can't be read; every mask must be a picture.")
    _, data = cv2.imencode(".png", cv2.resize(mask, size, interpolation=cv2.INTER_AREA))
    target.write_bytes(data.tobytes())


def _write_scaled(source: Path, target: Path, size: tuple[int, int], name: str) -> None:
    picture = cv2.imread(str(source), cv2.IMREAD_COLOR)
    if picture is None:
        raise BadPosedInput(f"images/{name} can't be read; every image of the model must be a picture.")
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    full_chroma = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, data = cv2.imencode(target.suffix, small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, *full_chroma])
    target.write_bytes(data.tobytes())
