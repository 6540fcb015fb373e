"""Made captures whose true size is known, for the tests and for `benchmarks/scale.py`."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from tasks.extract.options import ExtractOptions
from tasks.extract.step import extract
from tasks.geometry.similarity import align_points
from tasks.scale.options import ScaleOptions, ScaleRecord
from tasks.scale.step import scale
from tasks.sfm.options import SfmOptions
from tasks.sfm.step import reconstruct
from tests.support.capture_folder import write_capture
from tests.support.tagged import Film, Renderer, Scene, Tag, floor_tag, lens, table, walk, wall_tag, write_posed

QUICK_SFM = SfmOptions(num_threads=2, max_features=1500, feature_side_px=640)


def quiet(done: int, total: int, message: str) -> None:
    """Progress that nobody looks at."""
    assert 0 <= done <= total


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the step said, and by how much it's off.

    Attributes:
        record: the step's.
        truth: metres per unit.
        error: of the record's figure, relative.
        covered: the interval holds the truth.
    """

    record: ScaleRecord
    truth: float

    @property
    def error(self) -> float:
        assert self.record.metres_per_unit is not None, self.record
        return self.record.metres_per_unit / self.truth - 1

    @property
    def covered(self) -> bool:
        assert self.record.interval_95 is not None, self.record
        low, high = self.record.interval_95
        return low <= self.truth <= high


def random_tags(rng: np.random.Generator, count: int) -> list[Tag]:
    """One tag on the floor or the wall, or two on both, 70 to 110 mm large."""
    size = rng.uniform(0.07, 0.11)
    tags = [
        floor_tag(0, rng.uniform(-0.3, -0.2), rng.uniform(-0.2, 0.0), size, turn_deg=rng.uniform(0, 360)),
        wall_tag(1, rng.uniform(-0.3, 0.3), rng.uniform(0.1, 0.2), size),
    ]
    return [tags[i] for i in sorted(rng.permutation(2)[:count])]


def random_film(rng: np.random.Generator) -> Film:
    """Blur, noise, uneven light, JPEG; light encoded as cameras do, or as it is (every third time)."""
    return Film(
        blur_px=rng.uniform(0.5, 1.5),
        noise=rng.uniform(1, 5),
        srgb=bool(rng.integers(3)),
        slope=rng.uniform(-0.4, 0.4),
        jpeg_quality=int(rng.integers(85, 97)),
    )


def posed_capture(
    folder: Path,
    tags: Sequence[Tag],
    *,
    seed: int = 0,
    views: int = 8,
    film: Film | None = None,
    units_per_metre: float = 1.0,
    poses: Sequence[np.ndarray] | None = None,
    later: tuple[int, Sequence[Tag]] | None = None,
    camera: pycolmap.Camera | None = None,
) -> Path:
    """A posed folder with the true poses; from view `later[0]` on the tags are `later[1]`."""
    rng = np.random.default_rng([seed, 1])
    camera = camera or lens()
    film = film or Film()
    poses = walk(views, rng) if poses is None else poses
    quads = table(seed)
    first = Renderer(Scene(quads=quads, tags=tags), camera)
    second = Renderer(Scene(quads=quads, tags=later[1]), camera) if later else first
    images = [(second if later and i >= later[0] else first)(pose, film, rng) for i, pose in enumerate(poses)]
    return write_posed(folder, images, camera, poses, units_per_metre=units_per_metre, jpeg_quality=film.jpeg_quality)


def given_cameras(folder: Path, seed: int, *, tags: int, views: int, degrees: float = 90.0) -> Result:
    """Everything drawn from the seed: tags, film, lens, poses, the model's unit."""
    rng = np.random.default_rng([seed, tags, views])
    placed, film, unit = random_tags(rng, tags), random_film(rng), rng.uniform(0.3, 3)
    posed = posed_capture(
        folder / "posed",
        placed,
        seed=seed,
        film=film,
        units_per_metre=unit,
        poses=walk(views, rng, degrees=degrees),
        camera=lens(focal=rng.uniform(0.8, 1.1)),
    )
    options = ScaleOptions(tag_size_mm=1000 * placed[0].size, num_threads=2)
    return Result(record=scale(posed, folder / "scale", options, quiet), truth=1 / unit)


def through_sfm(folder: Path, seed: int, *, tags: int, views: int = 20) -> Result:
    """The frames go through structure from motion; its unit is that of the similarity between true and found cameras."""
    rng = np.random.default_rng([seed, tags, 7])
    placed, film = random_tags(rng, tags), random_film(rng)
    poses = walk(views, rng, degrees=100)
    render = Renderer(Scene(quads=table(seed, boxes=True), tags=placed), lens(focal=rng.uniform(0.8, 1.1)))
    write_capture(folder / "extracted", [render(pose, film, rng) for pose in poses])
    reconstruct(folder / "extracted", folder / "posed", QUICK_SFM, quiet)
    options = ScaleOptions(tag_size_mm=1000 * placed[0].size, num_threads=2)
    record = scale(folder / "posed", folder / "scale", options, quiet)
    return Result(record=record, truth=metres_per_unit(folder / "posed", poses))


def pupil_table(shared_data: Path, folder: Path) -> Path:
    """The posed folder of the real photos of a table with tags, by the product's own steps.

    They have no EXIF, and the focal length in their yaml (339 px) is not theirs: the tags of one arrangement, bundle-adjusted as
    squares of free sides, give 222 px with 0.2 px left over, as does the vote of the sfm step (224). That is given as EXIF would.
    """
    photos, extracted = folder / "photos", folder / "extracted"
    photos.mkdir()
    for path in (shared_data / "apriltag" / "pupil_table_multi").glob("*.png"):
        shutil.copy(path, photos)
    extract(photos, extracted, ExtractOptions(), quiet)
    facts = json.loads((extracted / "extract.json").read_text())
    facts["focal_px"] = dict.fromkeys([p.name for p in (extracted / "frames").iterdir()], 222.5)
    (extracted / "extract.json").write_text(json.dumps(facts))
    reconstruct(extracted, folder / "posed", SfmOptions(num_threads=2), quiet)
    return folder / "posed"


def metres_per_unit(posed: Path, poses: Sequence[np.ndarray]) -> float:
    """Of a model of frames 00001, 00002, ... whose true poses (3, 4) are in metres."""
    model = pycolmap.Reconstruction(str(posed / "colmap"))
    found, true = [], []
    for image in model.images.values():
        pose = poses[int(Path(image.name).stem) - 1]
        found.append(image.projection_center())
        true.append(-pose[:, :3].T @ pose[:, 3])
    return align_points(np.array(found), np.array(true)).scale
