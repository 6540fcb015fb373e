"""A small textured room, ray-cast in numpy with any lens: views whose poses are known exactly."""

from dataclasses import dataclass

import numpy as np
import pycolmap
from scipy.ndimage import gaussian_filter, map_coordinates

TEXTURE = 512
OVERSAMPLE = 2


@dataclass(frozen=True, kw_only=True)
class Quad:
    """A textured parallelogram.

    Attributes:
        origin: (3,) one corner; u, v: (3,) its two edges.
        texture: (TEXTURE, TEXTURE) float32 in [0, 255].
    """

    origin: np.ndarray
    u: np.ndarray
    v: np.ndarray
    texture: np.ndarray


def noise_texture(rng: np.random.Generator) -> np.ndarray:
    """Blobs of many sizes, (TEXTURE, TEXTURE) float32 in [0, 255]."""
    total = np.zeros((TEXTURE, TEXTURE))
    for sigma, weight in ((1.5, 0.8), (3, 1), (6, 1), (12, 0.8), (30, 0.5)):
        layer = gaussian_filter(rng.standard_normal((TEXTURE, TEXTURE)), sigma)
        total += weight * layer / layer.std()
    low, high = np.percentile(total, [1, 99])
    return np.clip(255 * (total - low) / (high - low), 0, 255).astype(np.float32)


def room(seed: int = 0) -> list[Quad]:
    """A floor (at y = 1, gravity along +Y), two walls and two boxes around the origin, about 4 units wide."""
    rng = np.random.default_rng(seed)

    def quad(origin: list[float], u: list[float], v: list[float]) -> Quad:
        return Quad(origin=np.array(origin), u=np.array(u), v=np.array(v), texture=noise_texture(rng))

    quads = [
        quad([-3, 1, -3], [6, 0, 0], [0, 0, 6]),
        quad([-3, -2, 3], [6, 0, 0], [0, 3, 0]),
        quad([3, -2, -3], [0, 0, 6], [0, 3, 0]),
        quad([-3, -2, -3], [0, 0, 6], [0, 3, 0]),
        quad([-3, -2, -3], [6, 0, 0], [0, 3, 0]),
    ]
    for x, z, s, h in ((-0.6, 0.1, 0.7, 0.8), (0.4, -0.3, 0.6, 0.5)):
        top = 1 - h
        quads += [
            quad([x, top, z], [s, 0, 0], [0, h, 0]),
            quad([x, top, z + s], [s, 0, 0], [0, h, 0]),
            quad([x, top, z], [0, 0, s], [0, h, 0]),
            quad([x + s, top, z], [0, 0, s], [0, h, 0]),
            quad([x, top, z], [s, 0, 0], [0, 0, s]),
        ]
    return quads


def look_at(centre: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(3, 4) cam_from_world of a level camera (y down) at `centre` that looks at `target`."""
    z = (target - centre) / np.linalg.norm(target - centre)
    x = np.cross(np.array([0.0, 1.0, 0.0]), z)
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z])
    return np.concatenate([rotation, -(rotation @ centre)[:, None]], 1)


def orbit(count: int, *, degrees: float = 120.0, radius: float = 2.2, height: float = -0.4) -> list[np.ndarray]:
    """Poses on an arc around the boxes."""
    angles = np.deg2rad(np.linspace(-degrees / 2, degrees / 2, count))
    return [
        look_at(
            np.array([radius * np.sin(a), height + 0.15 * np.sin(3 * a), -radius * np.cos(a)]), np.array([0, 0.5, 0])
        )
        for a in angles
    ]


def render(quads: list[Quad], camera: pycolmap.Camera, cam_from_world: np.ndarray) -> np.ndarray:
    """(H, W) uint8 view, OVERSAMPLE^2 rays a pixel."""
    n = OVERSAMPLE
    u, v = np.meshgrid((np.arange(camera.width * n) + 0.5) / n, (np.arange(camera.height * n) + 0.5) / n)
    rays = camera.cam_from_img(np.stack([u.ravel(), v.ravel()], 1))
    assert rays is not None
    rotation, translation = cam_from_world[:, :3], cam_from_world[:, 3]
    directions = np.concatenate([rays, np.ones((len(rays), 1))], 1) @ rotation
    eye = -rotation.T @ translation
    nearest = np.full(len(rays), np.inf)
    colour = np.full(len(rays), 90.0, np.float32)
    for quad in quads:
        normal = np.cross(quad.u, quad.v)
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = ((quad.origin - eye) @ normal) / (directions @ normal)
        local = eye + directions * np.where(np.isfinite(depth), depth, 0.0)[:, None] - quad.origin
        s, t = local @ quad.u / (quad.u @ quad.u), local @ quad.v / (quad.v @ quad.v)
        hit = np.isfinite(depth) & (depth > 0.05) & (depth < nearest) & (s >= 0) & (s <= 1) & (t >= 0) & (t <= 1)
        nearest[hit] = depth[hit]
        # Texels are as large on every quad, so that features don't stretch.
        per_unit = (TEXTURE - 1) / 6.0
        place = np.stack([t[hit] * np.linalg.norm(quad.v), s[hit] * np.linalg.norm(quad.u)]) * per_unit
        colour[hit] = map_coordinates(quad.texture, place, order=1, mode="wrap")
    image = colour.reshape(camera.height, n, camera.width, n).mean((1, 3))
    return np.clip(np.round(image), 0, 255).astype(np.uint8)
