"""A small furnished room with AprilTags on floor and walls, filmed with any lens: sizes, poses and lens are known exactly.

Lengths are metres. Light is averaged over each pixel, blurred and only then encoded, as a camera does; the tags' cells are
computed, not sampled from a picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pycolmap
from scipy.spatial.transform import Rotation

from tasks.geometry.cameras import pixels_from_rays, rays_from_pixels
from tasks.geometry.pinhole import fit_pinhole, remap_tables
from tasks.tags.families import family, pattern
from tests.support.raycast import TEXTURE, Quad, look_at, room

ROOM_SCALE = 0.4  # the room of `raycast` as a table top: 2.4 m wide
SUBPIXELS = 4
IN_FRONT = 0.02  # metres: depths are those of pixels' middles, and a tag lies just before its wall
INK, PAPER = 0.04, 0.82  # reflectance


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A tag on a plane.

    Attributes:
        tag_id: which.
        centre: (3,) metres.
        right, down: (3,) unit vectors along the printed rows and columns, as it is read.
        size: side of the square whose corners are detected, along `right`, metres.
        stretch: factor on the length along `down` (a bad print).
        bend: metres that the tag's middle column stands out from its left and right edges (paper that isn't flat).
        family: its family.
    """

    tag_id: int
    centre: np.ndarray
    right: np.ndarray
    down: np.ndarray
    size: float
    stretch: float = 1.0
    bend: float = 0.0
    family: str = "tagStandard41h12"

    @property
    def normal(self) -> np.ndarray:
        """Towards whoever reads it."""
        return np.cross(self.down, self.right)

    def at(self, cells: np.ndarray) -> np.ndarray:
        """(N, 2) places on the print, in cells right and down of its middle -> (N, 3) metres."""
        layout = family(self.family)
        cell = self.size / layout.inner_cells
        flat = self.centre + cell * (cells[:, :1] * self.right + self.stretch * cells[:, 1:] * self.down)
        return flat + (self.bend * (1 - (cells[:, 0] / (layout.cells / 2)) ** 2))[:, None] * self.normal

    def corners(self) -> np.ndarray:
        """(4, 3) in the order of detections: lower left, lower right, upper right, upper left."""
        half = family(self.family).inner_cells / 2
        return self.at(half * np.array([[-1, 1], [1, 1], [1, -1], [-1, -1]]))


@dataclass(frozen=True, kw_only=True)
class Film:
    """How a picture comes about.

    Attributes:
        blur_px: standard deviation of the lens's and the sensor's blur.
        noise: standard deviation, in levels of 255.
        srgb: light is encoded as sRGB; otherwise as it is.
        slope: brightness changes by this fraction from the left to the right of the picture.
        jpeg_quality: of the written picture.
    """

    blur_px: float = 0.8
    noise: float = 2.0
    srgb: bool = True
    slope: float = 0.2
    jpeg_quality: int = 95


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Textured quads and tags."""

    quads: list[Quad]
    tags: Sequence[Tag] = field(default_factory=tuple)


def table(seed: int = 0, *, boxes: bool = False) -> list[Quad]:
    """The room's floor (at y = 0.4) and walls, and its two boxes if wanted."""
    quads = room(seed)[: None if boxes else 5]
    return [
        Quad(origin=ROOM_SCALE * q.origin, u=ROOM_SCALE * q.u, v=ROOM_SCALE * q.v, texture=q.texture) for q in quads
    ]


def floor_tag(tag_id: int, x: float, z: float, size: float, *, turn_deg: float = 0.0, **more) -> Tag:
    """A tag that lies on the floor, half a millimetre above it."""
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    return Tag(
        tag_id=tag_id,
        centre=np.array([x, 0.3995, z]),
        right=np.array([c, 0, s]),
        down=np.array([s, 0, -c]),
        size=size,
        **more,
    )


def wall_tag(tag_id: int, x: float, y: float, size: float, **more) -> Tag:
    """A tag on the wall that the cameras of `walk` look at."""
    return Tag(
        tag_id=tag_id,
        centre=np.array([x, y, 1.1995]),
        right=np.array([1.0, 0, 0]),
        down=np.array([0, 1.0, 0]),
        size=size,
        **more,
    )


def walk(count: int, rng: np.random.Generator, *, degrees: float = 90.0, radius: float = 0.95) -> list[np.ndarray]:
    """Poses (3, 4) of a hand-held arc about the middle of the table."""
    poses = []
    for a in np.deg2rad(np.linspace(-degrees / 2, degrees / 2, count)):
        r = radius * rng.uniform(0.85, 1.15)
        centre = np.array([r * np.sin(a), rng.uniform(-0.35, -0.15), -r * np.cos(a)])
        pose = look_at(centre, np.array([0, 0.3, 0.1]) + rng.normal(0, 0.04, 3))
        roll = Rotation.from_rotvec([0, 0, rng.normal(0, 0.06)]).as_matrix()
        poses.append(roll @ pose)
    return poses


def lens(width: int = 640, height: int = 480, *, focal: float = 0.9) -> pycolmap.Camera:
    """A phone's lens, with distortion; `focal` in widths."""
    f = focal * width
    params = [f, f, width / 2 + 3, height / 2 - 2, -0.09, 0.03, 0.0006, -0.0004]
    return pycolmap.Camera(model="OPENCV", width=width, height=height, params=params, camera_id=1)


class Renderer:
    """Renders views of a scene; keeps the rays of the lens."""

    def __init__(self, scene: Scene, camera: pycolmap.Camera) -> None:
        self.scene, self.camera = scene, camera
        grid = np.indices((camera.height, camera.width)) + 0.5
        rays = rays_from_pixels(camera, np.stack([grid[1].ravel(), grid[0].ravel()], 1))
        self.rays = rays.reshape(camera.height, camera.width, 2)
        self.dv, self.du = np.gradient(self.rays, axis=(0, 1))

    def __call__(self, cam_from_world: np.ndarray, film: Film, rng: np.random.Generator) -> np.ndarray:
        """(H, W) uint8."""
        rotation = cam_from_world[:, :3]
        eye = -rotation.T @ cam_from_world[:, 3]
        light, depth = self._background(rotation, eye)
        for tag in self.scene.tags:
            self._paint(tag, light, depth, rotation, eye, rng)
        light *= 1 + film.slope * np.linspace(-0.5, 0.5, self.camera.width)
        if film.blur_px > 0:
            light = cv2.GaussianBlur(light, (0, 0), film.blur_px)
        coded = srgb_from_linear(light) if film.srgb else light
        return np.clip(np.round(255 * coded + rng.normal(0, film.noise, light.shape)), 0, 255).astype(np.uint8)

    def _background(self, rotation: np.ndarray, eye: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = self.rays.shape[:2]
        directions = _directions(self.rays.reshape(-1, 2), rotation)
        depth = np.full(len(directions), np.inf)
        light = np.full(len(directions), 0.3)
        for quad in self.scene.quads:
            normal = np.cross(quad.u, quad.v)
            with np.errstate(divide="ignore", invalid="ignore"):
                t = ((quad.origin - eye) @ normal) / (directions @ normal)
            index = np.flatnonzero((t > 0.01) & (t < depth))
            local = eye + directions[index] * t[index, None] - quad.origin
            a, b = local @ quad.u / (quad.u @ quad.u), local @ quad.v / (quad.v @ quad.v)
            inside = (a >= 0) & (a <= 1) & (b >= 0) & (b <= 1)
            index, a, b = index[inside], a[inside], b[inside]
            depth[index] = t[index]
            texels = np.stack([b * np.linalg.norm(quad.v), a * np.linalg.norm(quad.u)]) * (TEXTURE - 1) / 6 / ROOM_SCALE
            light[index] = 0.05 + 0.6 * _texture_at(quad.texture, texels % (TEXTURE - 1)) / 255
        return light.reshape(height, width), depth.reshape(height, width)

    def _paint(
        self,
        tag: Tag,
        light: np.ndarray,
        depth: np.ndarray,
        rotation: np.ndarray,
        eye: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        """Draws a tag and a cell of white paper around it over what is behind it."""
        layout = family(tag.family)
        half = layout.cells / 2 + 1
        outline = tag.at(half * np.array([[-1, 1], [1, 1], [1, -1], [-1, -1], [0, -1], [0, 1]]))
        in_camera = (outline - eye) @ rotation.T
        if in_camera[:, 2].min() < 0.05 or (eye - tag.centre) @ tag.normal <= 0:
            return
        uv = pixels_from_rays(self.camera, in_camera[:, :2] / in_camera[:, 2:])
        low = np.maximum(np.floor(uv.min(0)).astype(int) - 2, 0)
        high = np.minimum(np.ceil(uv.max(0)).astype(int) + 3, [self.camera.width, self.camera.height])
        if (high <= low).any():
            return
        area = np.s_[low[1] : high[1], low[0] : high[0]]
        rays, du, dv = self.rays[area], self.du[area], self.dv[area]
        grid = pattern(tag.family, tag.tag_id)
        behind = light[area].copy()
        total = np.zeros_like(behind)
        steps = (np.arange(SUBPIXELS) + 0.5) / SUBPIXELS - 0.5
        for dx in steps:
            for dy in steps:
                # Somewhere in its part of the pixel, so that edges along rows or columns don't snap to a grid.
                x, y = (
                    np.array([dx, dy])[:, None, None, None]
                    + rng.uniform(-0.5, 0.5, (2, *rays.shape[:2], 1)) / SUBPIXELS
                )
                directions = _directions((rays + x * du + y * dv).reshape(-1, 2), rotation)
                cells, t = _cells_hit(tag, directions, eye, layout.inner_cells)
                seen = (np.abs(cells).max(1) < half) & (t < depth[area].ravel() + IN_FRONT)
                place = np.floor(cells + layout.cells / 2).astype(int)
                printed = (place >= 0).all(1) & (place < layout.cells).all(1)
                row, column = np.clip(place[:, 1], 0, layout.cells - 1), np.clip(place[:, 0], 0, layout.cells - 1)
                shade = np.where(printed & (grid[row, column] == 0), INK, PAPER)
                total += np.where(seen, shade, behind.ravel()).reshape(behind.shape)
        light[area] = total / SUBPIXELS**2


def _texture_at(texture: np.ndarray, texels: np.ndarray) -> np.ndarray:
    """(N,) bilinear samples at (2, N) rows and columns."""
    count = texels.shape[1]
    rows = max(1, -(-count // 1024))  # OpenCV takes pictures of places, not lists
    places = np.zeros((2, rows * 1024), np.float32)
    places[:, :count] = texels
    y, x = places.reshape(2, rows, 1024)
    return cv2.remap(texture, x, y, cv2.INTER_LINEAR).ravel()[:count]


def _directions(rays: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    x, y = rays[:, :1], rays[:, 1:]  # so small a product isn't worth BLAS's threads
    return x * rotation[0] + y * rotation[1] + rotation[2]


def _cells_hit(tag: Tag, directions: np.ndarray, eye: np.ndarray, inner_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) cells right and down of the tag's middle that rays hit, and (N,) depths."""
    cell = tag.size / inner_cells
    rise = np.zeros(len(directions))
    for _ in range(4 if tag.bend else 1):  # a fixed point: the bend is small against the distance
        t = ((tag.centre - eye) @ tag.normal + rise) / (directions @ tag.normal)
        local = eye + directions * t[:, None] - tag.centre
        cells = np.stack([local @ tag.right, local @ tag.down / tag.stretch], 1) / cell
        rise = tag.bend * (1 - (cells[:, 0] / (family(tag.family).cells / 2)) ** 2)
    return cells, t


def srgb_from_linear(light: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, of values in [0, 1]."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def write_posed(
    folder: Path,
    images: Sequence[np.ndarray],
    camera: pycolmap.Camera,
    poses: Sequence[np.ndarray],
    *,
    units_per_metre: float = 1.0,
    jpeg_quality: int = 95,
) -> Path:
    """The sfm step's folder, undistorted by the product's own tables, with the true poses in another unit."""
    pinhole = fit_pinhole(camera, 1600)
    tables = remap_tables(camera, pinhole)
    (folder / "images").mkdir(parents=True)
    (folder / "colmap").mkdir()
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(pinhole.camera(1))
    for index, (image, pose) in enumerate(zip(images, poses, strict=True)):
        name = f"{index + 1:05d}.jpg"
        view = cv2.remap(image, *tables, interpolation=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        cv2.imwrite(str(folder / "images" / name), view, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
        scaled = np.concatenate([pose[:, :3], units_per_metre * pose[:, 3:]], 1)
        model.add_image_with_trivial_frame(
            pycolmap.Image(name=name, camera_id=1, image_id=index + 1), pycolmap.Rigid3d(scaled)
        )
    model.write(str(folder / "colmap"))
    return folder
